"""Input functions of rules/downstream.smk: the downstream models, and the embeddings they read."""

from lucaflow.checkpoints.model import NAME_WITH_STEP
from lucaflow.config.datasets import stated_tasks
from lucaflow.config.resolve import refuse_missing_checkpoint, stated_models
from lucaflow.downstream.models import is_embedded_for, read_head
from lucaflow.downstream.models import refuse_other_model, refuse_unfit, resolve_heads
from lucaflow.downstream.registry import read_tasks
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan

try:
    HEADS = resolve_heads(
        stated_tasks(DATASETS.values()),
        config["heads"],
        read_tasks(ROOT / "resources/tasks.tsv", schema_of("tasks")),
        Path(CHECKPOINTS),
        ROOT,
    )
    refuse_unfit(DATASETS.values(), HEADS)
    for name, head in HEADS.items():
        if head.others and workflow.is_main_process:
            others = ", ".join(f"`{task.name}:{task.time_str}:{task.step}`" for task in head.others)
            used = f"{head.task.time_str}, {head.task.checkpoint}"
            logger.warning(
                f"task {head.task.name}: of several models {used} is used; there are also {others}."
            )
        if head.recorded:
            trained_on = head.recorded.reading.model
            refuse_other_model(name, trained_on, DATASETS.values())
            if is_embedded_for(name, DATASETS.values()):
                stated = stated_models(config, DATASETS.values())
                refuse_missing_checkpoint(head.task.name, trained_on, config, stated, REGISTRY)
except LucaFlowError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    for dataset in DATASETS.values():
        if dataset.made_elsewhere:
            logger.info(
                f"dataset {dataset.name}: its tasks read embeddings from {shown(dataset.made_elsewhere)}, made "
                "elsewhere; nothing is embedded for them."
            )
            if not dataset.made_elsewhere.is_dir():
                logger.warning(f"heads.embeddings: {shown(dataset.made_elsewhere)}: there is no such folder.")


def head_folder(wildcards):
    """Return the folder of a task's converted model."""
    return str(HEADS[wildcards.task].folder)


def head_folders(wildcards):
    """Return the folders of the converted models that a dataset is embedded for."""
    return [str(HEADS[task].folder) for task in tasks_to_embed_for(dataset_of(wildcards))]


def tasks_to_embed_for(dataset):
    """Return the tasks of a dataset, unless they read embeddings that were made elsewhere."""
    return () if dataset.made_elsewhere else dataset.tasks


def converted_head(task):
    """Return a task's model as its record describes it, once it is converted."""
    folder = HEADS[task].folder
    checkpoints.convert_checkpoint.get(folder=folder.name)
    return read_head(folder)


def request_of(task):
    """Return the embedding that a task's model was trained on, once it is converted."""
    return EmbeddingRequest.by(converted_head(task).reading, config["heads"]["llm_truncation_seq_length"])


def models_for_heads(dataset):
    """Return the checkpoints that the downstream models of a dataset need."""
    return sorted(
        {request_of(task).model for task in tasks_to_embed_for(dataset)}, key=lambda model: model.name
    )


def own_embeddings(dataset):
    """Return the embeddings that the dataset asks for itself, one for each of its models, if its tasks may read them."""
    may_read = dataset.is_embedded and not dataset.made_elsewhere
    return [OwnEmbeddings(model, OPTIONS) for model in dataset.models if may_read]
