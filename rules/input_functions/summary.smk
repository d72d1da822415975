"""Functions of rules/summary.smk: the results that the summary reads, and the settings of the whole run."""

import functools

from lucaflow.config import result_files


def once_all_are_current(paths):
    """Return the input function for results of all datasets. paths: the function that names them.

    If each step is current, the times of its results do not matter; otherwise a step runs before this one.
    """
    return lambda wildcards: regardless_of_times(paths(wildcards), if_=all_were_current())


@functools.cache
def all_were_current():
    """Return whether every step was current when the run was planned; wait for checkpoint rules to know."""
    steps = ((dataset, step) for dataset in DATASETS.values() for step in steps_of(dataset))
    return all(is_settled(dataset, step) for dataset, step in steps)


def steps_of(dataset):
    """Yield the steps whose results the run asks for, in an order in which each reads those before it."""
    yield "normalize"
    for model in [model.name for model in dataset.models] if dataset.is_embedded else []:
        yield f"assemble-{model}"
        yield from (f"export-{name}-{model}" for name in result_files.export_steps(config["export"]))
        yield from (f"export-{suffix}-{model}" for suffix in csv_suffixes(dataset.with_model(model)))
        yield from [f"precisions-{model}"] if precision_files() else []
    yield from (f"score-{model.name}" for model in dataset.models if dataset.is_scored)
    trainings = trainings_on(dataset.name, TRAININGS.values())
    yield from (f"divide-{training.task}" for training in trainings)
    if has_plan(dataset):
        yield "plan"
    yield from (f"train-{training.task}@{model.name}" for training in trainings for model in training.models)
    yield from (f"compare-{training.task}" for training in trainings)
    yield from (f"predict-{task}" for task in dataset.tasks)
    yield from (f"draw-{model.name}" for model in dataset.models if dataset.is_embedded)


def count_files(wildcards):
    return [f"results/{name}/sequences/counts.json" for name in DATASETS]


def prediction_reports(wildcards):
    return result_files.prediction_reports(DATASETS.values())


def neighbour_metrics(wildcards):
    """Return the tables of what labels say of the neighbours, for each labelled dataset and model."""
    name = "neighbours.metrics.tsv"
    labelled = [
        dataset
        for dataset in EMBEDDED
        if dataset.neighbours_have_labels and not dataset.reference and name in neighbour_names(labelled=True)
    ]
    return [f"{result_files.folder_of(dataset)}/{name}" for dataset in labelled]


def scores_of_trained(wildcards):
    """Return the record and the metrics of each model that the run trains."""
    return trained_results("training.json", "metrics.tsv")


def checkpoints_of_datasets(wildcards):
    """Return the folders of the checkpoints that embed or score the datasets, or are trained on."""
    models = {dataset.model for dataset in [*EMBEDDED, *SCORED]}
    models.update(model for training in TRAININGS.values() for model in training.models)
    return sorted(str(checkpoint_folder(model)) for model in models)


def checkpoints_of_scored(wildcards):
    """Return the folders of the checkpoints that score each dataset, by the names of their models."""
    found = {}
    for dataset in SCORED:
        folder = str(checkpoint_folder(dataset.model))
        found.setdefault(dataset.name, {})[dataset.model.name] = folder
    return found


def results_without_report(wildcards):
    """Return one file of each step that the summary does not read: it is the last step of a run, and lists them all."""
    found = precision_files()
    for dataset in EMBEDDED:
        folder = result_files.folder_of(dataset)
        found += [f"{folder}/figures/{name}" for name in FIGURES[:1]]
        found += [f"{folder}/export/{name}" for name in result_files.exports_of(OPTIONS, config["export"])]
        found += csv_files(dataset)
    for dataset in SCORED:
        found += result_files.score_files(dataset, config)[:1]
    return [*found, *compared_trainings()]


def joined_in_tables_of_records(wildcards):
    """Return the models, scoring models and tasks whose tables are joined with those of a dataset's records."""
    return {
        name: {
            "models": [model.name for model in dataset.models] if dataset.is_embedded else [],
            "scored": (
                [model.name for model in dataset.models]
                if result_files.has_likelihoods(dataset, config)
                else []
            ),
            "tasks": list(dataset.tasks),
            "compared": not dataset.reference,
        }
        for name, dataset in DATASETS.items()
        if not dataset.is_pairs
    }


def pages_of_runs():
    """Return the pages of run.yaml, one for each dataset, as the report shows them."""
    return [page_of_run(name) for name in DATASETS]


def page_of_run(name):
    return in_report(f"results/{name}/run.html", "Provenance", "provenance", ("dataset", name))


def summary_receipt():
    return receipts.receipt_path(MOVED("results"), "summary")


def summary_settings(wildcards):
    runs = {
        dataset.name: step_settings.run_settings(
            dataset,
            config,
            {
                model.name: sha256_of(model)
                for model in dataset.models
                if dataset.is_embedded or dataset.is_scored
            },
        )
        for dataset in DATASETS.values()
    }
    return step_settings.summary_settings(runs)


def unless_summarised(wildcards):
    """Let the run be summarised again if its receipt is for other settings, or its checksums are of other results.

    Adds no input.
    """
    table = MOVED("results/summary.tsv")
    force_unless_current([table], summary_receipt(), summary_settings(wildcards))
    if workflow.is_main_process and not has_present_checksums():
        force([table])
    return []


def has_present_checksums():
    """Return whether SHA256SUMS lists the results as the receipts of their steps do."""
    results = Path(MOVED("results"))
    try:
        return (results / "SHA256SUMS").read_text(encoding="utf-8") == receipts.as_list(results, DATASETS)
    except (OSError, UnicodeDecodeError, LucaFlowError):
        return False
