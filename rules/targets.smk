"""The files that rule all and the other targets ask for, and what a run says on the terminal.

Requires: everything above. Produces: FAILED_JOBS, and named functions.
"""

from snakemake.exceptions import IncompleteCheckpointException
from snakemake.settings.enums import Quietness

from lucaflow.config import result_files
from lucaflow.report import failures, summary, terminal

# The machine's name, and the reasons of jobs.
HIDDEN_BY_DEFAULT = {Quietness.HOST, Quietness.REASON}
# Unless --quiet or a profile says what to hide; in a module, that is up to the workflow around it.
HIDDEN_HERE = None if IS_MODULE or workflow.output_settings.quiet else HIDDEN_BY_DEFAULT
terminal.hide_bookkeeping(logger, HIDDEN_HERE, IS_MODULE)

FAILED_JOBS = failures.FailedJobs()
logger.addHandler(FAILED_JOBS)


def checkpoints_of_all_heads(wildcards):
    """Return the receipts of the checkpoints that downstream models need, once these are converted."""
    models = {model for dataset in DATASETS.values() for model in models_for_heads(dataset)}
    return sorted(map(receipt_of_checkpoint, models))


def converted_models(wildcards):
    """Return the receipts of all models in use. Without them, Snakemake would not miss a model of existing results."""
    heads = [str(receipt_of_converted(head.folder)) for head in HEADS.values()]
    return sorted({*heads, *map(receipt_of_checkpoint, MODELS_OF_DATASETS)})


# A downstream model may need a checkpoint that embeds no dataset.
MODELS_IN_USE = (converted_models, checkpoints_of_all_heads)


def final_files(wildcards):
    """Return all results that can be named before anything has run."""
    return result_files.final_files(DATASETS.values(), OPTIONS, config, TRAININGS.values())


def files_known_later(wildcards):
    """Return the final files that depend on digests or sizes: shards that embeddings.h5 links to, CSV; and precisions."""
    of_datasets = [path for dataset in EMBEDDED for path in [*linked_shards(dataset), *csv_files(dataset)]]
    return [*of_datasets, *precision_files()]


def end_run():
    """Check that all results are there, and show the table of the run."""
    require_results()
    show_summary()


def require_results():
    """Raise WorkflowError if a result of the whole run is missing, or is not for the present settings."""
    dag = workflow.dag
    # Another target was asked for, or the run ends early (--until).
    if not any(job.rule.name == "all" and dag.noneedrun_finished(job) for job in dag.jobs):
        return
    try:
        missing = [
            f"{step} of {dataset.name}"
            for dataset in DATASETS.values()
            for step in steps_of(dataset)
            if not receipts.is_current(receipt_file(dataset, step), dataset_settings(dataset, step))
        ]
        missing += ["the summary"] * (not receipts.is_current(summary_receipt(), summary_settings(None)))
        files = [*final_files(None), *files_known_later(None)]
        missing += [path for path in files if not Path(MOVED(path)).exists()]
    except IncompleteCheckpointException as error:
        missing = [str(error.targetfile)]
    if missing:
        raise WorkflowError(
            "Not all results are there, although all jobs succeeded. Run the same command again, without -R and "
            f"--touch. Missing, or not for this configuration: {', '.join(missing[:10])}"
        )


def show_summary():
    """Show the table of the run and the places of its results."""
    table = Path("results/summary.tsv")
    if table.is_file():
        scopes = [head.scope.sentence(name, head.task.seq_types) for name, head in HEADS.items()]
        reports = [path for path in trained_files(None) if Path(path).name == "report.html"]
        scores = [f"{result_files.folder_of(dataset)}/scores" for dataset in SCORED]
        overview = table.with_name("overview.html")
        first = overview if overview.is_file() else None
        found = summary.as_text(
            table, scopes, filter(os.path.isfile, reports), filter(os.path.isdir, scores), first
        )
        print(found, file=sys.stderr)


def show_failures(logs_of_run):
    """Show the failed jobs and their causes at the end of the run, where a reader looks first."""
    text = failures.as_text(FAILED_JOBS.jobs, logs_of_run)
    if text:
        print(text, file=sys.stderr)
