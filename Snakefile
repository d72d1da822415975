"""From sequences to embeddings, predictions and scores: docs/design.md draws the way. Options: config/README.md."""

import snakemake
from snakemake.exceptions import WorkflowError

# What runs again depends on a part of Snakemake that is not documented (rules/receipts.smk).
if not snakemake.__version__.startswith("9.27."):
    raise WorkflowError(
        f"LucaFlow needs Snakemake 9.27, and this is {snakemake.__version__}. Use the clone's own environment "
        "(.venv/bin/snakemake, made by `make install`), or install `snakemake==9.27.*`."
    )


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/receipts.smk"
include: "rules/scheduling.smk"
include: "rules/report.smk"
include: "rules/checkpoints.smk"
include: "rules/sequences.smk"
include: "rules/embedding.smk"
include: "rules/comparisons.smk"
include: "rules/downstream.smk"
include: "rules/training.smk"
include: "rules/predictions.smk"
include: "rules/exports.smk"
include: "rules/scores.smk"
include: "rules/figures.smk"
include: "rules/summary.smk"
include: "rules/verification.smk"
include: "rules/targets.smk"


rule all:
    default_target: True
    input:
        *MODELS_IN_USE,
        final_files,
        files_known_later,
    message:
        "All results are there."


rule fetch:
    input:
        *MODELS_IN_USE,
    localrule: True
    message:
        "Everything the configuration needs from elsewhere is here."


onsuccess:
    end_run()


onerror:
    show_failures(log)
