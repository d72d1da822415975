"""Input functions of rules/downstream.smk: the downstream models, and the embeddings they read."""

from lucaflow.checkpoints.fetched_record import FETCHED_RECORD
from lucaflow.config.resolve import refuse_missing_checkpoint, stated_models
from lucaflow.downstream.models import HEAD_RECORD, locate_head, read_head, refuse_unfit, resolve_heads
from lucaflow.downstream.registry import read_tasks
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan

try:
    HEADS = resolve_heads(
        sorted({task for dataset in DATASETS.values() for task in dataset.tasks}),
        config["heads"],
        read_tasks(ROOT / "resources/tasks.tsv", schema_of("tasks")),
        Path(CHECKPOINTS),
        ROOT,
    )
    refuse_unfit(DATASETS.values(), HEADS)
    for head in HEADS.values():
        if head.recorded:
            stated = stated_models(config, DATASETS.values())
            refuse_missing_checkpoint(head.task.name, head.recorded.reading.model, config, stated, REGISTRY)
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None


def head_in(folder):
    """Return the downstream model whose converted files are kept in a folder, by the folder's name."""
    return next(head for head in HEADS.values() if head.folder.name == folder)


def head_of(wildcards):
    return head_in(wildcards.head)


def head_record(wildcards):
    """Return the record of a task's converted model, once it is converted."""
    return checkpoints.convert_head.get(head=HEADS[wildcards.task].folder.name).output.record


def head_records(wildcards):
    folders = [HEADS[task].folder.name for task in dataset_of(wildcards).tasks]
    return [checkpoints.convert_head.get(head=folder).output.record for folder in folders]


def converted_head(task):
    """Return a task's model as its record describes it, once it is converted."""
    done = checkpoints.convert_head.get(head=HEADS[task].folder.name)
    return read_head(Path(done.output.record).parent)


def fetched_record_of_head(wildcards):
    """Return the record of a fetched model; nothing for a model that needs no download."""
    head = head_of(wildcards)
    return [str(head.root / FETCHED_RECORD)] if head.is_fetched else []


def origin_of_head(head):
    """Return what identifies the files that a downstream model is converted from.

    While the files are out of reach, an existing conversion is used; without either, the job raises the full error.
    """
    if head.is_fetched:
        return downstream_settings.fetched_head_settings(head)
    try:
        return downstream_settings.head_settings(locate_head(head.root, head.task))
    except LucaFlowError:
        recorded = receipts.recorded_settings(receipt_of_converted(head.folder)) if head.recorded else None
        return recorded or downstream_settings.head_settings(None)


def settings_of_head(wildcards):
    return origin_of_head(head_of(wildcards))


def unless_head_converted(wildcards):
    """Let a downstream model be converted again if its receipt is for other files. Adds no input."""
    folder = head_of(wildcards).folder
    force_unless_current(
        [str(folder / HEAD_RECORD)], receipt_of_converted(folder), settings_of_head(wildcards)
    )
    return []


def request_of(task):
    """Return the embedding that a task's model was trained on, once it is converted."""
    return EmbeddingRequest.by(converted_head(task).reading, config["heads"]["llm_truncation_seq_length"])


def models_for_heads(dataset):
    """Return the checkpoints that the downstream models of a dataset need."""
    return sorted({request_of(task).model for task in dataset.tasks}, key=lambda model: model.name)


def checkpoints_for_heads(wildcards):
    """Return the records of the checkpoints that the downstream models of a dataset need."""
    return [checkpoint_record(model) for model in models_for_heads(dataset_of(wildcards))]


def own_embeddings(dataset):
    """Return the embeddings that the dataset asks for itself, or None."""
    return None if dataset.is_pairs else OwnEmbeddings(dataset.model, OPTIONS)
