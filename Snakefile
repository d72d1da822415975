"""LucaFlow: sequences to LucaOne embeddings. Configuration: config/README.md."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/receipts.smk"
include: "rules/checkpoints.smk"
include: "rules/sequences.smk"
include: "rules/embedding.smk"
include: "rules/comparisons.smk"
include: "rules/downstream.smk"
include: "rules/predictions.smk"
include: "rules/exports.smk"
include: "rules/figures.smk"
include: "rules/summary.smk"
include: "rules/verification.smk"
include: "rules/targets.smk"


report: "resources/report/overview.rst"


rule all:
    default_target: True
    input:
        final_files,
        results_of_datasets,
    message:
        "All results are there."


rule fetch:
    input:
        [checkpoint_record(dataset.model) for dataset in SINGLES],
        checkpoints_of_all_heads,
    localrule: True
    message:
        "Everything the configuration needs from elsewhere is here."


onsuccess:
    show_summary()


onerror:
    show_failures(log)
