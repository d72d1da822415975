"""Which steps run again because of their settings: those whose receipt is for other settings.

Requires: the configuration. Produces: named functions. Nothing is written when a run is planned.
"""

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


def unless_current(step, *outputs):
    """Return an input function that lets a dataset's step run again if its receipt is not for the present settings.

    outputs: files that the step writes. The function adds no input, so that the set of inputs never changes.
    """

    def no_input(wildcards):
        # Computed first, because the settings may wait for a checkpoint rule.
        settings = settings_of(step)(wildcards)
        receipt = receipt_file(dataset_of(wildcards), step.format(**dict(wildcards)))
        force_unless_current([MOVED(path.format(**dict(wildcards))) for path in outputs], receipt, settings)
        return []

    return no_input


def force_unless_current(outputs, receipt, settings):
    """Make Snakemake run the job of existing outputs, unless its receipt is for these settings.

    Snakemake then calls the job forced. `forcefiles` is not documented: test_receipts.py tests each way to use it.
    """
    existing = [path for path in outputs if Path(path).exists()]
    if workflow.is_main_process and existing and not receipts.is_current(receipt, settings):
        workflow.dag.forcefiles.update(existing)


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
    records = checkpoints.normalize.get(dataset=dataset.name).output.records
    receipt = receipt_file(dataset, "normalize")
    try:
        entry = receipts.recorded_outputs(receipt)[Path(records)]
    except (FileNotFoundError, KeyError):
        raise WorkflowError(
            f"{receipt} is missing or incomplete. Run without --touch and --allowed-rules."
        ) from None
    return step_settings.assemble_settings(dataset, OPTIONS, sha256_of(dataset.model), entry["sha256"])


def note_of(model):
    """Return the note that is shown with every result of a model."""
    return "for demonstration" if model.llm_version == "mini" else ""
