"""What a run ends in, dataset by dataset: the input functions of rules/summary.smk."""

from lucaflow.config import results


def count_files(wildcards):
    return [f"results/{name}/sequences/counts.json" for name in DATASETS]


def verified_files(wildcards):
    return [f"{results.folder_of(dataset)}/verified.json" for dataset in SINGLES]


def prediction_reports(wildcards):
    return results.prediction_reports(DATASETS.values())
