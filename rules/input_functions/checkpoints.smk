"""Input functions of rules/checkpoints.smk: the source of each checkpoint."""

from lucaflow.checkpoints.fetched_record import FETCHED_RECORD
from lucaflow.downstream.models import PREFIX


def model_of(wildcards):
    """Return the model whose converted checkpoint is kept in a folder."""
    return converted.model_of_folder(wildcards.folder)


def version_of_folder(wildcards):
    return model_of(wildcards).llm_version


def step_of_folder(wildcards):
    return model_of(wildcards).llm_step


def places_of_published(wildcards):
    """Return the places from which the files of a checkpoint or a downstream model can be fetched."""
    if wildcards.published.startswith(PREFIX):
        return (head_in(wildcards.published).place,)
    return REGISTRY.places(converted.model_of_folder(wildcards.published), config["checkpoints"]["source"])


def digests_of_packaged(wildcards):
    """Return the SHA-256 of a packaged checkpoint's files; those of fetched files were compared at the download."""
    model = model_of(wildcards)
    if converted.source_of(model, config["checkpoints"]) != "packaged":
        return {}
    return {file.name: file.sha256 for place in REGISTRY.places(model, "packaged") for file in place.files}


def fetched_record(wildcards):
    """Return the record of a fetched checkpoint; nothing for a checkpoint that needs no download."""
    model = model_of(wildcards)
    if not converted.is_fetched(model, config["checkpoints"]):
        return []
    return str(converted.published_folder(model, config["checkpoints"]) / FETCHED_RECORD)


def origin_of(model):
    """Return what identifies the files that a checkpoint is converted from.

    Fetched files are known by their SHA-256 and cannot change. While local files are out of reach, an existing
    conversion is used; without either, the job raises the full error.
    """
    if converted.is_fetched(model, config["checkpoints"]):
        return step_settings.fetched_origin_settings(model, config["checkpoints"])
    try:
        files = converted.published_files(model, config["checkpoints"], ROOT).files
    except LucaFlowError:
        files = ()
    if not files and Path(checkpoint_record(model)).is_file():
        return step_settings.recorded_origin(checkpoint_folder(model)) or step_settings.origin_settings(files)
    return step_settings.origin_settings(files)


def origin_file(model):
    return settings_path(checkpoint_folder(model), "origin", origin_of(model))


def origin_file_of_folder(wildcards):
    return origin_file(model_of(wildcards))


def origin_to_record(wildcards):
    """Return what identifies the files that the checkpoint or downstream model in a folder is converted from."""
    if wildcards.kept.startswith(PREFIX):
        return origin_of_head(head_in(wildcards.kept))
    return origin_of(converted.model_of_folder(wildcards.kept))
