"""Functions of rules/summary.smk: the results that the summary reads, and the settings of the whole run."""

from lucaflow.config import result_files


def count_files(wildcards):
    return [f"results/{name}/sequences/counts.json" for name in DATASETS]


def prediction_reports(wildcards):
    return result_files.prediction_reports(DATASETS.values())


def checkpoints_of_datasets(wildcards):
    """Return the records of the checkpoints that embed the datasets."""
    return sorted({checkpoint_record(dataset.model) for dataset in SINGLES})


def results_without_report(wildcards):
    """Return one file of each step that the summary does not read: it is the last step of a run, and lists them all."""
    found = precision_files()
    for dataset in SINGLES:
        folder = result_files.folder_of(dataset)
        found += [f"{folder}/figures/{name}" for name in FIGURES[:1]]
        found += [f"{folder}/export/{name}" for name in result_files.exports_of(OPTIONS, config["export"])]
    return found


def pages_of_runs():
    """Return the pages of run.yaml, one for each dataset, as the report shows them."""
    return [page_of_run(name) for name in DATASETS]


def page_of_run(name):
    caption = "../resources/report/provenance.rst"
    return report(
        f"results/{name}/run.html", category="Provenance", labels={"dataset": name}, caption=caption
    )


def summary_receipt():
    return receipts.receipt_path(MOVED("results"), "summary")


def summary_settings(wildcards):
    runs = {
        dataset.name: step_settings.run_settings(
            dataset, config, None if dataset.is_pairs else sha256_of(dataset.model)
        )
        for dataset in DATASETS.values()
    }
    return step_settings.summary_settings(runs)


def unless_summarised(wildcards):
    """Let the run be summarised again if the receipt of the summary is for other settings. Adds no input."""
    force_unless_current([MOVED("results/summary.tsv")], summary_receipt(), summary_settings(wildcards))
    return []
