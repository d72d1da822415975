"""Where results, checkpoints and downstream models are: the input functions of rules/verification.smk."""


def moved(paths):
    """Return what names the places of results for a job that finds them itself, with a module's prefix before them."""

    def places(wildcards):
        return [str(MOVED(path)) for path in paths(wildcards)]

    return places


def dataset_folders(wildcards):
    return [f"results/{name}" for name in DATASETS]


def result_folders(wildcards):
    return [results.folder_of(dataset) for dataset in SINGLES]


def guarded_folders(wildcards):
    """Return the folder of all results, and those in it where results of any depth have their checksums beside them."""
    return ["results", "results/settings", *dataset_folders(wildcards)]


def head_plans(wildcards):
    return [f"results/{dataset.name}/heads/plan.json" for dataset in DATASETS.values() if dataset.tasks]


def head_folders(wildcards):
    return [str(head.folder) for head in HEADS.values()]


def checkpoint_folders(wildcards):
    """Return the folders of all checkpoints; of those for downstream models, once these are converted."""
    models = {dataset.model for dataset in SINGLES}
    models |= {head.recorded.reading.model for head in HEADS.values() if head.recorded}
    return sorted(str(checkpoint_folder(model)) for model in models)


def fingerprints_now(wildcards):
    """Return the names of the folders of shards that the configuration asks for."""
    digests = {dataset.model: sha256_of(dataset.model) for dataset in SINGLES}
    return sorted(OPTIONS.fingerprint(digest)[:DIGEST_LENGTH] for digest in digests.values())
