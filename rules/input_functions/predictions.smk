"""Input functions of rules/predictions.smk: the embeddings that a task reads."""


def plan_of(dataset):
    """Return the plan of the embeddings for downstream models, once it is made."""
    return Plan.read(Path(checkpoints.plan_heads.get(dataset=dataset.name).output.plan))


def shards_for_heads(wildcards):
    dataset = dataset_of(wildcards)
    groups = plan_of(dataset).groups_for(request_of(wildcards.task))
    folder = Path(f"results/{dataset.name}/heads")
    return [str(path) for group in groups for path in group.files(folder)]


def own_shards_for_heads(wildcards):
    """Return the dataset's own shards, if a downstream model reads them."""
    dataset = dataset_of(wildcards)
    return shards_of(dataset) if plan_of(dataset).reads_own_shards else []


def note_of_task(wildcards):
    """Return the note that is shown with every prediction of a model."""
    return "for demonstration" if HEADS[wildcards.task].source == "packaged" else ""
