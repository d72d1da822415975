"""Functions of rules/predictions.smk: the embeddings that a task reads, and the files of its predictions."""

from lucaflow.config import result_files

# Kind and caption of the files of predictions that the report shows.
PREDICTIONS_IN_REPORT = {
    ".png": ("figure", "predictions"),
    ".html": ("table", "predictions"),
    ".metrics.html": ("metrics", "metrics"),
}


def prediction_outputs(labelled):
    """Return the outputs of the rule that predicts."""
    return [prediction_output(suffix) for suffix in result_files.prediction_suffixes(labelled)]


def prediction_output(suffix):
    path = f"results/{{dataset}}/predictions/{{task}}{suffix}"
    if suffix not in PREDICTIONS_IN_REPORT:
        return path
    kind, caption = PREDICTIONS_IN_REPORT[suffix]
    return in_report(path, "Predictions", caption, ("result", f"{{task}}: {kind}"), "{dataset}")


def either(names):
    """Return the regular expression that matches one of the names; without names, it matches nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def plan_of(dataset):
    """Return the plan of the embeddings for downstream models, once it is made."""
    # Wait for what the plan waits for: jobs that embed by an older plan would wait for it, too, and Snakemake does not
    # look at their inputs again.
    is_settled(dataset, "plan")
    return Plan.read(Path(checkpoints.plan_heads.get(dataset=dataset.name).output.plan))


def shards_for_heads(wildcards):
    """Return the shards that a task reads: those that are made for it, and the dataset's own."""
    dataset = dataset_of(wildcards)
    requests = requests_for(wildcards.task)
    planned = [path for request in requests for path in planned_shards(dataset, request)]
    return planned + [path for request in requests for path in own_shards_for(dataset, request.model)]


def planned_shards(dataset, request):
    """Return the shards of a dataset that are made for a request."""
    folder = Path(f"results/{dataset.name}/heads")
    groups = plan_of(dataset).groups_for(request)
    return known_shards(str(path) for group in groups for path in group.files(folder))


def own_shards_for(dataset, model):
    """Return the dataset's own shards by a model, if a downstream model reads them."""
    reads = plan_of(dataset).reads_own_shards and model in dataset.models
    return shards_of(dataset.with_model(model.name)) if reads else []


def made_elsewhere_for(dataset, step):
    """Return what identifies the embeddings that were made elsewhere, if a step that predicts reads these, or None.

    While their folder is out of reach, predictions from it stay.
    """
    folder = dataset.made_elsewhere
    if folder is None:
        return None
    # Imported here, because most runs need none of it.
    from lucaflow.downstream.made_elsewhere import find_files

    if not folder.is_dir():
        recorded = receipts.recorded_settings(receipt_file(dataset, step)) or {}
        found = recorded.get("embeddings") or {}
        if found.get("folder") == str(folder):
            return found
    records = checkpoints.normalize.get(dataset=dataset.name).output.records
    return find_files(Path(records), folder).identity()


def own_models(wildcards):
    """Return the models among those that embed a dataset whose embeddings a task may read."""
    dataset = dataset_of(wildcards)
    read = [request.model for request in requests_for(wildcards.task)] if dataset.is_embedded else []
    return [model for model in dataset.models if model in read]


def once_encoders_are_converted(wildcards):
    """Wait for the encoders on which parameters depend. Adds no input."""
    for model in own_models(wildcards):
        sha256_of(model)
    return []


def own_shard_folders(wildcards):
    """Return the folders of the dataset's own shards by each model that a task may read, by the model's name."""
    dataset = dataset_of(wildcards)
    return {
        model.name: str(MOVED(shard_folder(dataset.with_model(model.name), sha256_of(model))))
        for model in own_models(wildcards)
    }


def note_of_task(wildcards):
    """Return the note that is shown with every prediction of a model; of one that this run trains, the job knows it."""
    is_packaged = wildcards.task in HEADS and HEADS[wildcards.task].source == "packaged"
    return "for demonstration" if is_packaged else ""


def scope_of_task(wildcards):
    """Return what the model of a task was trained on; of one that this run trains, the job knows it."""
    return HEADS[wildcards.task].scope if wildcards.task in HEADS else None


def sentence_of_scope(wildcards):
    """Return the same as a sentence, for the report."""
    head = HEADS.get(wildcards.task)
    if head is None:
        training, _ = TRAINED[wildcards.task]
        return f"{training.task} was trained in this run on labelled rows of {training.dataset}."
    return head.scope.sentence(head.task.name, head.task.seq_types)


def training_of_task(wildcards):
    """Return the training of a task, if it is one of this run."""
    return TRAINED[wildcards.task][0] if wildcards.task in TRAINED else None


def parts_of_rows(wildcards):
    """Return the table of the parts of a dataset's rows, if the model of a task was trained on this dataset."""
    training = TRAINED[wildcards.task][0] if wildcards.task in TRAINED else None
    if training is None or training.dataset != wildcards.dataset:
        return []
    path = f"results/{training.dataset}/training/{training.task}/splits.tsv"
    return [result_of(f"divide-{training.task}", path)(wildcards)]
