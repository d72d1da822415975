"""Input functions of rules/verification.smk: the folders of results and models."""

from lucaflow.files.json_files import DIGEST_LENGTH


def moved(paths):
    """Return the input function for paths that a job opens by itself: they get the prefix of a module."""

    def places(wildcards):
        return [str(MOVED(path)) for path in paths(wildcards)]

    return places


def dataset_folders(wildcards):
    return [f"results/{name}" for name in DATASETS]


def expected_receipts(wildcards):
    """Return the receipts of embeddings and predictions: without one of them, a run is not finished."""
    found = []
    for dataset in DATASETS.values():
        steps = [f"predict-{task}" for task in dataset.tasks]
        steps += [] if dataset.is_pairs else [f"assemble-{dataset.model.name}"]
        found += [str(receipts.receipt_path(f"results/{dataset.name}", step)) for step in steps]
    return found


def head_folders(wildcards):
    return [str(head.folder) for head in HEADS.values()]


def checkpoint_folders(wildcards):
    """Return the folders of all checkpoints; those for downstream models are known once these are converted."""
    models = {dataset.model for dataset in SINGLES}
    models |= {head.recorded.reading.model for head in HEADS.values() if head.recorded}
    return sorted(str(checkpoint_folder(model)) for model in models)


def fingerprints_now(wildcards):
    """Return the names of the shard folders that the configuration uses."""
    digests = {dataset.model: sha256_of(dataset.model) for dataset in SINGLES}
    return sorted(OPTIONS.fingerprint(digest)[:DIGEST_LENGTH] for digest in digests.values())
