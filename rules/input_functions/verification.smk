"""Input functions of rules/verification.smk: the folders of results and models."""

from lucaflow.config import result_files
from lucaflow.files.json_files import DIGEST_LENGTH


def moved(paths):
    """Return the input function for paths that a job opens by itself: they get the prefix of a module."""

    def places(wildcards):
        return [str(MOVED(path)) for path in paths(wildcards)]

    return places


def dataset_folders(wildcards):
    return [f"results/{name}" for name in DATASETS]


def results_to_verify(wildcards):
    """Return the reports of embeddings and predictions: without one of them, a run is not finished."""
    own = (
        verified_files(wildcards),
        prediction_reports(wildcards),
        trained_results("metrics.tsv"),
        results_of_scores(),
    )
    return [path for paths in own for path in paths]


def results_of_scores():
    return [path for dataset in SCORED for path in result_files.score_files(dataset, config)[:1]]


def receipts_to_verify(wildcards):
    """Return the receipts of the steps that write `results_to_verify`, in the same order."""
    steps = [(dataset, f"assemble-{dataset.model.name}") for dataset in EMBEDDED]
    steps += [(dataset, f"predict-{task}") for dataset in DATASETS.values() for task in dataset.tasks]
    steps += [
        (DATASETS[training.dataset], f"train-{training.task}@{model.name}")
        for training in TRAININGS.values()
        for model in training.models
    ]
    steps += [(dataset, f"score-{dataset.model.name}") for dataset in SCORED]
    return [str(receipts.receipt_path(f"results/{dataset.name}", step)) for dataset, step in steps]


def receipts_of_conversions(wildcards):
    """Return the receipts of all converted models; the checkpoints of downstream models are known once they are."""
    models = {*MODELS_OF_DATASETS}
    models |= {head.recorded.reading.model for head in HEADS.values() if head.recorded}
    folders = [*map(checkpoint_folder, models), *(head.folder for head in HEADS.values())]
    return sorted(str(receipt_of_converted(folder)) for folder in folders)


def fingerprints_now(wildcards):
    """Return the names of the folders of shards, and of passes for scores, that the configuration uses."""
    digests = {dataset.model: sha256_of(dataset.model) for dataset in EMBEDDED}
    of_shards = {OPTIONS.fingerprint(digest)[:DIGEST_LENGTH] for digest in digests.values()}
    return sorted(of_shards | {passes_fingerprint(dataset.model) for dataset in SCORED})
