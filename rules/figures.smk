"""What people look at.

Requires: verified embeddings. Produces: maps of each dataset; of all together a table, and what was checked.
"""


rule draw_map:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        records="results/{dataset}/records.tsv",
        labels="results/{dataset}/sequences/labels.tsv",
        counts="results/{dataset}/sequences/counts.json",
    output:
        png=report(
            "results/{dataset}/{model}/figures/map.png",
            category="Maps",
            labels={"dataset": "{dataset}", "model": "{model}", "kind": "components"},
            caption="../resources/report/map.rst",
        ),
        # In a report it would not show: browsers leave frames of more than 2 MB empty.
        html="results/{dataset}/{model}/figures/map.html",
        lengths=report(
            "results/{dataset}/{model}/figures/lengths.png",
            category="Lengths",
            labels={"dataset": "{dataset}"},
            caption="../resources/report/lengths.rst",
        ),
    log:
        "logs/draw_map/{dataset}/{model}.log",
    benchmark:
        "benchmarks/draw_map/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(4000, records=True),
    params:
        note=note_of_model,
        projection="components",
    message:
        "Drawing the map of {wildcards.dataset}"
    script:
        "../scripts/draw_map.py"


use rule draw_map as draw_tsne with:
    output:
        png=report(
            "results/{dataset}/{model}/figures/tsne.png",
            category="Maps",
            labels={"dataset": "{dataset}", "model": "{model}", "kind": "t-SNE"},
            caption="../resources/report/tsne.rst",
        ),
        html="results/{dataset}/{model}/figures/tsne.html",
    log:
        "logs/draw_tsne/{dataset}/{model}.log",
    benchmark:
        "benchmarks/draw_tsne/{dataset}/{model}.tsv"
    threads: 4
    params:
        note=note_of_model,
        projection="tsne",
    message:
        "Drawing the map of {wildcards.dataset} by t-SNE"


rule draw_contacts:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        shards=linked_shards_of_dataset,
    output:
        report(
            "results/{dataset}/{model}/figures/contacts.png",
            category="Contacts",
            labels={"dataset": "{dataset}", "model": "{model}"},
            caption="../resources/report/contacts.rst",
        ),
    log:
        "logs/draw_contacts/{dataset}/{model}.log",
    benchmark:
        "benchmarks/draw_contacts/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    message:
        "Drawing contact maps of {wildcards.dataset}"
    script:
        "../scripts/draw_contacts.py"


rule compare_precisions:
    input:
        sequences="results/{dataset}/sequences/distinct.fasta",
        records="results/{dataset}/records.tsv",
        settings=comparison_settings_file("precisions"),
        checkpoint=ancient(record_of_dataset),
    output:
        table="results/{dataset}/{model}/figures/precisions.tsv",
        figure=report(
            "results/{dataset}/{model}/figures/precisions.png",
            category="Numerics",
            labels={"dataset": "{dataset}", "model": "{model}", "kind": "figure"},
            caption="../resources/report/precisions.rst",
        ),
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
    message:
        "Comparing precisions on sequences of {wildcards.dataset}"
    script:
        "../scripts/compare_precisions.py"


rule compare_stitchings:
    input:
        sequences="results/{dataset}/sequences/distinct.fasta",
        settings=comparison_settings_file("stitchings"),
        checkpoint=ancient(record_of_dataset),
    output:
        table="results/{dataset}/{model}/figures/stitchings.tsv",
        figure=report(
            "results/{dataset}/{model}/figures/stitchings.png",
            category="Windows",
            labels={"dataset": "{dataset}", "model": "{model}", "kind": "figure"},
            caption="../resources/report/stitchings.rst",
        ),
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


rule summarise:
    input:
        counts=count_files,
        verified=verified_files,
        predicted=prediction_reports,
        settings=summary_settings_file,
    output:
        table="results/summary.tsv",
        html=report(
            "results/summary.html",
            category="Overview",
            caption="../resources/report/summary.rst",
        ),
        validation=report(
            "results/validation.html", category="Validation", caption="../resources/report/validation.rst"
        ),
    log:
        "logs/summarise.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    message:
        "Summing up"
    script:
        "../scripts/summarise.py"
