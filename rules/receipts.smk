"""Which steps run again: those whose receipt is for other settings, or for another state of the results they read.

Requires: the configuration. Produces: named functions. Modification times decide nothing: a file of a step that is
current is declared as `ancient`, and a file outside of the results is not declared once it is there.
"""

import time

from snakemake.settings.enums import RerunTrigger

from lucaflow.config import result_files, step_settings
from lucaflow.downstream import step_settings as downstream_settings
from lucaflow.files import receipts
from lucaflow.training import step_settings as training_settings
from lucaflow.training.mmseqs import has_mmseqs


def settings_of(step):
    """Return the params function for the settings of a dataset's step. step: may hold wildcards: `assemble-{model}`."""

    def settings(wildcards):
        return dataset_settings(dataset_of(wildcards), step.format(**dict(wildcards)))

    return settings


def receipt_file(dataset, step):
    return receipts.receipt_path(MOVED(f"results/{dataset.name}"), step)


def result_of(step, path):
    """Return the input function for a result of another step of a dataset. step, path: may hold wildcards.

    While that step has to run, its result is a plain input, so that this step runs after it. Once it is current, its
    receipt says whether this step has to run, and the time of its result does not matter.
    """

    def result(wildcards):
        names = dict(wildcards)
        (found,) = regardless_of_times(
            [path.format(**names)], if_=is_settled(wildcards, step.format(**names))
        )
        return found

    return result


def is_settled(wildcards, step):
    """Return whether the receipt of a step is for the present settings and results; wait for a checkpoint rule to know."""
    dataset = dataset_of(wildcards)
    if step == "normalize":
        return bool(checkpoints.normalize.get(dataset=dataset.name))
    if step == "plan":
        # Wait for what the plan waits for, too: if the plan turns out to be current, Snakemake does not look again at
        # jobs that wait for the plan alone.
        dataset_settings(dataset, step)
        return bool(checkpoints.plan_heads.get(dataset=dataset.name))
    name, _, model = step.partition("-")
    if name in ("draw", "search") and dataset.reference:
        # Wait for what the step waits for, too, for the same reason.
        other = DATASETS[dataset.reference].with_model(model)
        if not (is_settled(other, "normalize") and is_settled(other, f"assemble-{model}")):
            return False
    if name == "draw":
        read = [f"predict-{task}" for task in dataset.tasks]
        read += [f"score-{model}"] * result_files.has_likelihoods(dataset, config)
        if not all([is_settled(dataset, each) for each in read]):
            return False
    current = receipts.is_current(receipt_file(dataset, step), dataset_settings(dataset, step))
    if step.startswith("train-"):
        # The receipt of the division is that of an older one until it is made.
        task = step.removeprefix("train-").partition("@")[0]
        return is_settled(dataset, f"divide-{task}") and current
    return current


def regardless_of_times(paths, if_):
    """Return paths of results as inputs; their times do not matter if a condition holds.

    With -R or -F the user starts jobs whose results are current, and Snakemake finds the jobs after them by plain inputs.
    """
    if not if_ or workflow.dag.forcerules:
        return paths
    for path in paths:
        mend_time(Path(MOVED(path)))
    return [ancient(path) for path in paths]


def mend_time(path):
    """Give a result that is dated in the future the present time: Snakemake would take it for newer than its results."""
    if not runs_jobs():
        return
    # Snakemake dates a folder by a file in it.
    for file in (path, path / ".snakemake_timestamp"):
        if file.exists() and file.stat().st_mtime > time.time() + 1:
            try:
                os.utime(file)
            except OSError as error:
                logger.warning(
                    f"{file} is dated in the future, and its date cannot be changed: {error.strerror}."
                )


def runs_jobs():
    """Return whether this process runs jobs: it does not for a dry run, a picture of the jobs, or as a job itself."""
    return (
        workflow.is_main_process
        and bool(workflow.executor_plugin)
        and not (workflow.dryrun or workflow.touch)
    )


def unless_current(step, *outputs, compare=()):
    """Return an input function that lets a dataset's step run again if its receipt is not for the present settings.

    outputs: files that the step writes; compare: small ones that are read to plan the run. The function adds no input,
    so that the set of inputs never changes.
    """

    def no_input(wildcards):
        # Computed first, because the settings may wait for a checkpoint rule.
        settings = settings_of(step)(wildcards)
        receipt = receipt_file(dataset_of(wildcards), step.format(**dict(wildcards)))
        found, compared = (
            [MOVED(path.format(**dict(wildcards))) for path in of] for of in (outputs, compare)
        )
        force_unless_current(found, receipt, settings, compared, missing=step in ("normalize", "plan"))
        return []

    return no_input


def force_unless_current(outputs, receipt, settings, compare=(), missing=False):
    """Make Snakemake run the job of outputs, unless its receipt is for these settings.

    missing: also if no output exists. Other steps wait for a checkpoint rule to know whether they have to run, and
    Snakemake would not run it for them.
    """
    let_receipts_decide()
    forced = outputs if missing else [path for path in outputs if Path(path).exists()]
    if workflow.is_main_process and forced and not receipts.is_current(receipt, settings, map(Path, compare)):
        force(forced)


def let_receipts_decide():
    """Set two options of Snakemake, unless the user does, and refuse two that end a run before its jobs are known.

    Receipts need no trigger but modification times; by the others a script that was only checked out again would run
    all its jobs. All triggers together are Snakemake's default, and count as not set. Jobs of a killed run are run again
    without `--rerun-incomplete`. In a module these options are those of the workflow around it.
    """
    if IS_MODULE:
        return
    options = workflow.dag_settings
    if options.rerun_triggers == RerunTrigger.all():
        options.rerun_triggers = {RerunTrigger.MTIME}
    options.force_incomplete = True
    for name, value in (("--until", options.until), ("--batch", options.batch)):
        if value:
            raise SystemExit(
                f"{name} would end this run early without a word, since most jobs are known only once the input is read. "
                "Name a target instead, such as `estimate`, `embeddings` or a file (results/...), or take datasets out "
                "of the table."
            )


def force(outputs):
    """Make Snakemake run the jobs of outputs, although they exist. It then calls the jobs forced.

    `forcefiles` is not documented: test_receipts.py tests each way to use it.
    """
    if workflow.is_main_process:
        workflow.dag.forcefiles.update(outputs)


def dataset_settings(dataset, step):
    """Return the settings that a step of a dataset depends on. step: such as `normalize`, `predict-ProtLoc`."""
    name, _, of = step.partition("-")
    if name in ("assemble", "draw", "export", "precisions", "score", "search", "stitchings"):
        dataset = dataset.with_model(of.partition("-")[2] if name == "export" else of)
    if name == "normalize":
        return step_settings.normalize_settings(dataset, config)
    if name == "draw":
        found = step_settings.figure_settings(dataset, OPTIONS, config, note_of(dataset.model))
        # With labels, MMseqs2 adds best hits, if it is there.
        return found | ({"best_hits": has_mmseqs()} if dataset.neighbours_have_labels else {})
    if name == "search":
        return step_settings.search_settings(dataset, config)
    if name == "export":
        return step_settings.export_settings(of.partition("-")[0], OPTIONS, config)
    if name == "plan":
        digests = {model: sha256_of(model) for model in models_for_heads(dataset)}
        return downstream_settings.heads_settings(
            requests_of(dataset), digests, own_embeddings(dataset), config
        )
    if name == "divide":
        checkpoints.normalize.get(dataset=dataset.name)
        return training_settings.divide_settings(TRAININGS[of], dataset)
    if name == "train":
        checkpoints.normalize.get(dataset=dataset.name)
        task, _, model = of.partition("@")
        return training_settings.train_settings(
            TRAININGS[task], model, sha256_of(TRAININGS[task].model(model))
        )
    if name == "compare":
        return training_settings.compare_settings(TRAININGS[of])
    if name == "predict":
        return predict_settings(dataset, of, step)
    if name == "assemble":
        return assemble_settings(dataset)
    if name == "score":
        return score_settings(dataset)
    return step_settings.comparison_settings(OPTIONS, config, sha256_of(dataset.model))


def predict_settings(dataset, task, step):
    """Return the settings of predictions, once the model of the task is converted, unless this run trains it."""
    elsewhere = made_elsewhere_for(dataset, step)
    if task in TRAINED:
        training, _ = TRAINED[task]
        return training_settings.predict_settings(
            dataset, training, models_of_trained(task), config, elsewhere
        )
    return downstream_settings.predict_settings(
        dataset, converted_head(task), HEADS[task].scope, request_of(task), config, elsewhere
    )


def assemble_settings(dataset):
    """Return the settings of embeddings.h5, once the dataset is normalised and its checkpoint converted."""
    checkpoints.normalize.get(dataset=dataset.name)
    return step_settings.assemble_settings(dataset, OPTIONS, sha256_of(dataset.model))


def note_of(model):
    """Return the note that is shown with every result of a model."""
    return "for demonstration" if model.is_demonstration else ""
