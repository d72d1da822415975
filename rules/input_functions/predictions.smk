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
    return Plan.read(Path(checkpoints.plan_heads.get(dataset=dataset.name).output.plan))


def shards_for_heads(wildcards):
    dataset = dataset_of(wildcards)
    groups = plan_of(dataset).groups_for(request_of(wildcards.task))
    folder = Path(f"results/{dataset.name}/heads")
    return known_shards(str(path) for group in groups for path in group.files(folder))


def own_shards_for_heads(wildcards):
    """Return the dataset's own shards, if a downstream model reads them."""
    dataset, model = dataset_of(wildcards), request_of(wildcards.task).model
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


def note_of_task(wildcards):
    """Return the note that is shown with every prediction of a model."""
    return "for demonstration" if HEADS[wildcards.task].source == "packaged" else ""


def scope_of_task(wildcards):
    """Return what the model of a task was trained on."""
    return HEADS[wildcards.task].scope


def trained_on(wildcards):
    """Return the same as a sentence, for the report."""
    head = HEADS[wildcards.task]
    return head.scope.sentence(head.task.name, head.task.seq_types)
