"""Input functions of rules/summary.smk: the results that the summary reads."""

from lucaflow.config import result_files


def count_files(wildcards):
    return [f"results/{name}/sequences/counts.json" for name in DATASETS]


def verified_files(wildcards):
    return [f"{result_files.folder_of(dataset)}/verified.json" for dataset in SINGLES]


def prediction_reports(wildcards):
    return result_files.prediction_reports(DATASETS.values())
