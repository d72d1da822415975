"""Input functions of rules/checkpoints.smk: where encoders and downstream models come from."""

from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, is_complete
from lucaflow.downstream.models import PREFIX


def source_of_folder(name):
    """Return where a model comes from. name: of the folder of its converted files, or of its fetched ones."""
    if name.startswith(PREFIX):
        return next(head for head in HEADS.values() if head.folder.name == name)
    return converted.encoder_source(converted.model_of_folder(name), config["checkpoints"], ROOT)


def source_of(wildcards):
    return source_of_folder(wildcards.folder)


def task_of(wildcards):
    """Return the name of the task whose downstream model a folder holds; None for an encoder."""
    return next((name for name, head in HEADS.items() if head.folder.name == wildcards.folder), None)


def places_of_published(wildcards):
    """Return the places from which the files of a model can be fetched."""
    return source_of_folder(wildcards.published).places(REGISTRY)


def digests_of_packaged(wildcards):
    """Return the SHA-256 of a packaged model's files; those of fetched files were compared at the download."""
    source = source_of(wildcards)
    places = source.places(REGISTRY) if source.source == "packaged" else ()
    return {file.name: file.sha256 for place in places for file in place.files}


def once_fetched(wildcards):
    """Wait for the published files of a model, if they are fetched and its conversion needs them. Adds no input.

    If some are missing from what was fetched, have them fetched again.
    """
    source = source_of(wildcards)
    wanting = lacks_needed_head(source)
    if not source.is_fetched or (converted.is_unrecorded(source.folder) and not wanting):
        return []
    if wanting or not receipts.is_current(receipt_of_converted(source.folder), conversion_settings(source)):
        if not is_complete(source.root):
            force([str(source.root / FETCHED_RECORD)])
        checkpoints.fetch_checkpoint.get(published=source.root.name)
    return []


def needs_head(source):
    """Return whether scores are asked for of a model, which need the head of its language model."""
    return any(checkpoint_folder(dataset.model) == source.folder for dataset in SCORED)


def lacks_needed_head(source):
    """Return whether a model was converted without the head that its scores need, by an earlier version of LucaFlow."""
    is_there = (source.folder / converted.CHECKPOINT_RECORD).is_file()
    return is_there and needs_head(source) and converted.lacks_head(source.folder)


def head_is_needed(wildcards):
    return needs_head(source_of(wildcards))


def receipt_of_converted(folder):
    """Return the receipt of the conversion of a model into a folder."""
    return receipts.receipt_path(folder, "convert")


def receipt_of_checkpoint(model):
    """Return the receipt of the conversion of an encoder, as a file that a rule asks for."""
    return str(receipt_of_converted(checkpoint_folder(model)))


def conversion_settings(source):
    """Return what identifies the files that a model is converted from."""
    recorded = receipts.recorded_settings(receipt_of_converted(source.folder))
    return step_settings.conversion_settings(source, recorded)


def settings_of_conversion(wildcards):
    return conversion_settings(source_of(wildcards))


def unless_converted(wildcards):
    """Let a model be converted again if its receipt is for other files. Adds no input."""
    source = source_of(wildcards)
    receipt = receipt_of_converted(source.folder)
    record = source.folder / converted.CHECKPOINT_RECORD
    if lacks_needed_head(source):
        force([str(receipt)])
    force_unless_current([str(receipt)], receipt, conversion_settings(source), [record], missing=True)
    return []
