"""Input functions of rules/checkpoints.smk: the source of each checkpoint."""

from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, is_complete
from lucaflow.downstream.models import PREFIX
from lucaflow.versions import CHECKPOINT_CONVERSION_VERSION


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


def once_fetched(wildcards):
    """Wait for the published files of a checkpoint, if they are fetched and its conversion needs them. Adds no input."""
    model = model_of(wildcards)
    if converted.is_fetched(model, config["checkpoints"]):
        published = converted.published_folder(model, config["checkpoints"])
        folder = checkpoint_folder_of(wildcards)
        if not converted.is_unrecorded(folder, converted.CHECKPOINT_RECORD, CHECKPOINT_CONVERSION_VERSION):
            wait_for_files(published, folder, origin_of(model))
    return []


def wait_for_files(published, folder, settings):
    """Wait until files are fetched; if some are missing from what was fetched, have them fetched again.

    published: their folder; folder: of their conversion, which needs no files if it is for these settings.
    """
    if receipts.is_current(receipt_of_converted(folder), settings):
        return
    if not is_complete(published):
        force([str(published / FETCHED_RECORD)])
    checkpoints.fetch_checkpoint.get(published=published.name)


def receipt_of_converted(folder):
    """Return the receipt of the conversion of a checkpoint or a downstream model into a folder."""
    return receipts.receipt_path(folder, "convert")


def receipt_of_checkpoint(model):
    """Return the receipt of the conversion of a checkpoint, as a file that a rule asks for."""
    return str(receipt_of_converted(checkpoint_folder(model)))


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
    recorded = None if files else receipts.recorded_settings(receipt_of_converted(checkpoint_folder(model)))
    return recorded or step_settings.origin_settings(files)


def origin_of_folder(wildcards):
    return origin_of(model_of(wildcards))


def checkpoint_folder_of(wildcards):
    return Path(CHECKPOINTS) / wildcards.folder


def unless_converted(wildcards):
    """Let a checkpoint be converted again if its receipt is for other files. Adds no input."""
    folder = checkpoint_folder_of(wildcards)
    receipt = receipt_of_converted(folder)
    record = folder / converted.CHECKPOINT_RECORD
    force_unless_current([str(receipt)], receipt, origin_of_folder(wildcards), [record], missing=True)
    return []
