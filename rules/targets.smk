"""The files that rule all and the other targets ask for, and what a run says on the terminal.

Requires: everything above. Produces: FAILED_JOBS, and named functions.
"""

from lucaflow.config import result_files
from lucaflow.report import failures, summary, terminal

terminal.hide_bookkeeping(logger)

FAILED_JOBS = failures.FailedJobs()
logger.addHandler(FAILED_JOBS)


def origin_files(wildcards):
    models = {dataset.model for dataset in SINGLES}
    return sorted({*map(origin_file, models), *map(head_origin, HEADS.values())})


def checkpoints_of_all_heads(wildcards):
    """Return the records of the checkpoints that downstream models need, once these are converted."""
    models = {model for dataset in DATASETS.values() for model in models_for_heads(dataset)}
    return sorted(map(checkpoint_record, models))


def final_files(wildcards):
    """Return the results that can be named before anything has run.

    They include settings, because Snakemake does not miss a file that only an existing result depends on.
    """
    recorded = [settings_file(dataset, "normalize") for dataset in DATASETS.values()]
    recorded += [settings_file(dataset, "split") for dataset in SINGLES]
    if "lucaone" in config["export"]:
        recorded += [settings_file(dataset, f"lucaone-{dataset.model.name}") for dataset in SINGLES]
    return [
        *result_files.final_files(DATASETS.values(), OPTIONS, config),
        *recorded,
        summary_settings_file(wildcards),
    ]


def files_known_later(wildcards):
    """Return the final files whose names depend on digests: settings, and the shards that embeddings.h5 links to."""
    found = []
    for dataset in DATASETS.values():
        found += [settings_file(dataset, "heads")] * bool(dataset.tasks)
        found += [settings_file(dataset, f"predict-{task}") for task in dataset.tasks]
        found.append(settings_file(dataset, "run"))
    for dataset in SINGLES:
        found += [settings_file(dataset, f"assemble-{dataset.model.name}"), *linked_shards(dataset)]
        if OPTIONS.precision != "float32":
            found.append(settings_file(dataset, f"precisions-{dataset.model.name}"))
            found += result_files.comparison_files(dataset, "precisions")
    return found


def show_summary():
    """Show the table of the run and the places of its results."""
    table = Path("results/summary.tsv")
    if table.is_file():
        print(summary.as_text(table), file=sys.stderr)


def show_failures(logs_of_run):
    """Show the failed jobs and their causes at the end of the run, where a reader looks first."""
    text = failures.as_text(FAILED_JOBS.jobs, logs_of_run)
    if text:
        print(text, file=sys.stderr)
