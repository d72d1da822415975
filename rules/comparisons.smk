"""Comparisons on a user's own sequences: precisions, and ways to divide a long sequence into windows.

Requires: normalised sequences and a converted checkpoint.
Produces: tables and figures in results/{dataset}/{model}/figures.
"""


include: "input_functions/comparisons.smk"


rule compare_precisions:
    input:
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        current=unless_current(
            "precisions-{model}",
            "results/{dataset}/{model}/figures/precisions.tsv",
            "results/{dataset}/{model}/figures/precisions.png",
            "results/{dataset}/{model}/figures/precisions.svg",
        ),
    output:
        table="results/{dataset}/{model}/figures/precisions.tsv",
        figure=comparison_figure("precisions"),
        drawing="results/{dataset}/{model}/figures/precisions.svg",
        receipt="results/{dataset}/receipts/precisions-{model}.json",
    log:
        "logs/compare_precisions/{dataset}/{model}.log",
    benchmark:
        "benchmarks/compare_precisions/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        model=version_and_step,
        settings=settings_of("precisions-{model}"),
    message:
        "Comparing precisions on sequences of {wildcards.dataset}"
    script:
        "../scripts/compare_precisions.py"


rule compare_stitchings:
    input:
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        current=unless_current(
            "stitchings-{model}",
            "results/{dataset}/{model}/figures/stitchings.tsv",
            "results/{dataset}/{model}/figures/stitchings.png",
            "results/{dataset}/{model}/figures/stitchings.svg",
        ),
    output:
        table="results/{dataset}/{model}/figures/stitchings.tsv",
        figure=comparison_figure("stitchings"),
        drawing="results/{dataset}/{model}/figures/stitchings.svg",
        receipt="results/{dataset}/receipts/stitchings-{model}.json",
    log:
        "logs/compare_stitchings/{dataset}/{model}.log",
    benchmark:
        "benchmarks/compare_stitchings/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        model=version_and_step,
        settings=settings_of("stitchings-{model}"),
    message:
        "Comparing windows on the long sequences of {wildcards.dataset}"
    script:
        "../scripts/compare_stitchings.py"


rule precisions:
    input:
        comparison_files("precisions"),
    localrule: True
    message:
        "Precisions are compared."


rule stitchings:
    input:
        comparison_files("stitchings"),
    localrule: True
    message:
        "Windows are compared with one pass."
