"""Pictures of a dataset's embeddings, and the neighbours and groups of its sequences.

Requires: verified embeddings; predictions and scores of datasets that have some. Produces: maps, lengths and contact maps in
results/{dataset}/{model}/figures; tables of neighbours, suggested labels and groups beside the embeddings.
"""


include: "neighbours.smk"
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
        predictions=shown_predictions,
        scores=shown_scores,
        nearest=nearest_file,
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
        mem_mb=memory_of_draw,
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
