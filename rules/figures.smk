"""Pictures of a dataset's embeddings.

Requires: verified embeddings. Produces: maps, lengths and contact maps in results/{dataset}/{model}/figures.
"""


include: "input_functions/figures.smk"


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
        # Not in the report: browsers leave frames of more than 2 MB empty.
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
        shards=linked_shards,
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
