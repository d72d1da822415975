"""Pictures of a dataset's embeddings, and all that is known of each record in one table.

Requires: verified embeddings, predictions. Produces: maps, lengths and contact maps in
results/{dataset}/{model}/figures; nearest neighbours beside the embeddings; results/{dataset}/overview.tsv and its page.
"""


include: "input_functions/figures.smk"


rule draw:
    input:
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        verified=result_of("assemble-{model}", "results/{dataset}/{model}/verified.json"),
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        labels=result_of("normalize", "results/{dataset}/sequences/labels.tsv"),
        columns=result_of("normalize", "results/{dataset}/sequences/columns.tsv"),
        shards=drawn_shards,
        sequences=compared_sequences,
        reference=reference_files,
        current=unless_current(
            "draw-{model}", *(f"results/{{dataset}}/{{model}}/figures/{name}" for name in FIGURES)
        ),
    output:
        figure_outputs(),
        neighbour_outputs(labelled=False),
        receipt="results/{dataset}/receipts/draw-{model}.json",
    log:
        "logs/draw/{dataset}/{model}.log",
    benchmark:
        "benchmarks/draw/{dataset}/{model}.tsv"
    wildcard_constraints:
        dataset=either(each.name for each in DATASETS.values() if not each.neighbours_have_labels),
    conda:
        ENVIRONMENT
    threads: 4 if config["figures"]["tsne"] else 1
    resources:
        mem_mb=growing(4000, records=True),
    params:
        settings=settings_of("draw-{model}"),
    message:
        "Drawing the figures of {wildcards.dataset}"
    script:
        "../scripts/draw.py"


use rule draw as draw_with_labels with:
    output:
        figure_outputs(),
        neighbour_outputs(labelled=True),
        receipt="results/{dataset}/receipts/draw-{model}.json",
    wildcard_constraints:
        dataset=either(each.name for each in DATASETS.values() if each.neighbours_have_labels),
    message:
        "Drawing the figures of {wildcards.dataset}, and comparing neighbours with the labels"


rule overview:
    input:
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        labels=result_of("normalize", "results/{dataset}/sequences/labels.tsv"),
        columns=result_of("normalize", "results/{dataset}/sequences/columns.tsv"),
        of_models=tables_of_models,
        predictions=predictions_of_dataset,
        current=unless_current(
            "overview", "results/{dataset}/overview.tsv", "results/{dataset}/overview.html"
        ),
    output:
        table="results/{dataset}/overview.tsv",
        page="results/{dataset}/overview.html",
        receipt="results/{dataset}/receipts/overview.json",
    log:
        "logs/overview/{dataset}.log",
    benchmark:
        "benchmarks/overview/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=settings_of("overview"),
    message:
        "Listing all that is known of each record of {wildcards.dataset}"
    script:
        "../scripts/overview.py"
