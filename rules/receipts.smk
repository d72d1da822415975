"""Which steps run again: those whose receipt is for other settings, or for another state of the results they read.

Requires: the configuration. Produces: named functions. Modification times decide nothing: a file of a step that is
current is declared as `ancient`, and a file outside of the results is not declared once it is there.
"""

import time

from lucaflow.config import step_settings
from lucaflow.downstream import step_settings as downstream_settings
from lucaflow.files import receipts


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
        (found,) = known([path.format(**names)], is_settled(wildcards, step.format(**names)))
        return found

    return result


def is_settled(wildcards, step):
    """Return whether a step of a dataset is current; while that depends on a checkpoint rule, wait for the rule."""
    dataset = dataset_of(wildcards)
    if step == "normalize":
        return bool(checkpoints.normalize.get(dataset=dataset.name))
    if step == "plan":
        return bool(checkpoints.plan_heads.get(dataset=dataset.name))
    return receipts.is_current(receipt_file(dataset, step), dataset_settings(dataset, step))


def known(paths, is_known):
    """Return paths of results as inputs, without regard to their times if their content is known."""
    if not is_known:
        return paths
    for path in paths:
        mend_time(Path(MOVED(path)))
    return [ancient(path) for path in paths]


def mend_time(path):
    """Give a result that is dated in the future the present time: Snakemake would take it for newer than its results."""
    if (
        workflow.is_main_process
        and not workflow.dryrun
        and path.exists()
        and path.stat().st_mtime > time.time() + 1
    ):
        os.utime(path)


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
        force_unless_current(found, receipt, settings, compared)
        return []

    return no_input


def force_unless_current(outputs, receipt, settings, compare=()):
    """Make Snakemake run the job of existing outputs, unless its receipt is for these settings.

    Snakemake then calls the job forced. `forcefiles` is not documented: test_receipts.py tests each way to use it.
    """
    existing = [path for path in outputs if Path(path).exists()]
    if not workflow.is_main_process or not existing:
        return
    if not receipts.is_current(receipt, settings, map(Path, compare)):
        force(existing)


def force(outputs):
    """Make Snakemake run the jobs of outputs, although they exist."""
    if workflow.is_main_process:
        workflow.dag.forcefiles.update(outputs)


def dataset_settings(dataset, step):
    """Return the settings that a step of a dataset depends on. step: such as `normalize`, `predict-ProtLoc`."""
    name, _, of = step.partition("-")
    if name == "normalize":
        return step_settings.normalize_settings(dataset, config)
    if name == "draw":
        return step_settings.figure_settings(OPTIONS, config, note_of(dataset.model))
    if name == "export":
        return step_settings.export_settings(of.partition("-")[0], OPTIONS, config)
    if name == "plan":
        digests = {model: sha256_of(model) for model in models_for_heads(dataset)}
        needs = [request_of(task) for task in dataset.tasks]
        return downstream_settings.heads_settings(needs, digests, own_embeddings(dataset), config)
    if name == "predict":
        return downstream_settings.predict_settings(dataset, converted_head(of), request_of(of), config)
    if name == "assemble":
        return assemble_settings(dataset)
    return step_settings.comparison_settings(OPTIONS, config, sha256_of(dataset.model))


def assemble_settings(dataset):
    """Return the settings of embeddings.h5, once the dataset is normalised and its checkpoint converted."""
    checkpoints.normalize.get(dataset=dataset.name)
    return step_settings.assemble_settings(dataset, OPTIONS, sha256_of(dataset.model))


def note_of(model):
    """Return the note that is shown with every result of a model."""
    return "for demonstration" if model.llm_version == "mini" else ""
