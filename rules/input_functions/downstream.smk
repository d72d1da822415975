"""Input functions of rules/downstream.smk: the downstream models, and the embeddings they read."""

from lucaflow.checkpoints.model import NAME_WITH_STEP
from lucaflow.config.datasets import stated_tasks
from lucaflow.config.resolve import refuse_missing_checkpoint, stated_models
from lucaflow.downstream.models import is_embedded_for, read_head
from lucaflow.downstream.models import refuse_other_model, refuse_unfit, resolve_heads
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan
from lucaflow.training.requested import asked_for

try:
    STATED_TASKS = stated_tasks(DATASETS.values())
    # Tasks of this run's own training, whatever heads.source says: the training, and the encoder if one is named.
    TRAINED = {name: found for name in STATED_TASKS if (found := asked_for(name, TRAININGS))}
    HEADS = resolve_heads(
        {name: stated for name, stated in STATED_TASKS.items() if name not in TRAINED},
        config["heads"],
        PUBLISHED_TASKS,
        Path(CHECKPOINTS),
        ROOT,
    )
    refuse_unfit(DATASETS.values(), {name: head.task for name, head in HEADS.items()}, TRAINED)
    for training in TRAININGS.values():
        for model in training.models:
            stated = stated_models(config, DATASETS.values())
            refuse_missing_checkpoint(training.task, model, config, stated, REGISTRY)
    for name, (training, model) in TRAINED.items():
        for each in training.models:
            if model in (None, each.name):
                refuse_other_model(name, each, DATASETS.values())
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
    """Return the folder of a task's converted model; none if this run trains it."""
    return None if wildcards.task in TRAINED else str(HEADS[wildcards.task].folder)


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


def requests_for(task):
    """Return the embeddings that the models of a task read: one, or of a task that this run trains all it may need."""
    if task in TRAINED:
        training, _ = TRAINED[task]
        return [training.request(model) for model in models_of_trained(task)]
    return [request_of(task)]


def requests_of(wildcards):
    """Return the embeddings that the downstream models of a dataset read: those that predict, and those that train."""
    dataset = dataset_of(wildcards)
    trainings = trainings_on(dataset.name, TRAININGS.values())
    found = [training.request(model.name) for training in trainings for model in training.models]
    return found + [request for task in tasks_to_embed_for(dataset) for request in requests_for(task)]


def models_for_heads(dataset):
    """Return the checkpoints that the downstream models of a dataset need."""
    return sorted({request.model for request in requests_of(dataset)}, key=lambda model: model.name)


def has_plan(dataset):
    """Return whether something is embedded for downstream models of a dataset."""
    return bool(dataset.tasks or trainings_on(dataset.name, TRAININGS.values()))


def own_embeddings(dataset):
    """Return the embeddings that the dataset asks for itself, one for each of its models, if its tasks may read them."""
    may_read = dataset.is_embedded and not dataset.made_elsewhere
    return [OwnEmbeddings(model, OPTIONS) for model in dataset.models if may_read]


def divisions_first(wildcards):
    """Return the divisions of a dataset's labelled rows, after which sequences are embedded for downstream models.

    Their content does not matter to the embeddings.
    """
    trainings = trainings_on(wildcards.dataset, TRAININGS.values())
    return [
        ancient(f"results/{training.dataset}/training/{training.task}/splits.tsv") for training in trainings
    ]
