"""From stored embeddings to predictions, and their evaluation where the truth is known.

Requires: converted downstream models and the embeddings they read. Produces: results/{dataset}/predictions.
"""


include: "input_functions/predictions.smk"


rule predict:
    input:
        file=ancient(dataset_file),
        records="results/{dataset}/records.tsv",
        labels="results/{dataset}/sequences/labels.tsv",
        # The plan says which shards are read, so it is an input whatever else is planned.
        plan=ancient("results/{dataset}/heads/plan.json"),
        settings=settings_of("predict-{task}"),
        head=head_record,
        shards=shards_for_heads,
        own=own_shards_for_heads,
    output:
        predictions="results/{dataset}/predictions/{task}.csv",
        failed="results/{dataset}/predictions/{task}.failed.csv",
        about="results/{dataset}/predictions/{task}.json",
    log:
        "logs/predict/{dataset}/{task}.log",
    benchmark:
        "benchmarks/predict/{dataset}/{task}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        dataset=dataset_of,
        note=note_of_task,
    message:
        "Predicting {wildcards.task} for {wildcards.dataset}"
    script:
        "../scripts/predict.py"


rule draw_predictions:
    input:
        predictions="results/{dataset}/predictions/{task}.csv",
        about="results/{dataset}/predictions/{task}.json",
        records="results/{dataset}/records.tsv",
    output:
        figure=report(
            "results/{dataset}/predictions/{task}.png",
            category="Predictions",
            labels={"dataset": "{dataset}", "task": "{task}", "kind": "figure"},
            caption="../resources/report/predictions.rst",
        ),
        table=report(
            "results/{dataset}/predictions/{task}.html",
            category="Predictions",
            labels={"dataset": "{dataset}", "task": "{task}", "kind": "table"},
            caption="../resources/report/predictions.rst",
        ),
    log:
        "logs/draw_predictions/{dataset}/{task}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(8000),
    message:
        "Drawing the predictions of {wildcards.task} for {wildcards.dataset}"
    script:
        "../scripts/draw_predictions.py"


rule evaluate_predictions:
    input:
        predictions="results/{dataset}/predictions/{task}.csv",
        about="results/{dataset}/predictions/{task}.json",
    output:
        tsv="results/{dataset}/predictions/{task}.metrics.tsv",
        html=report(
            "results/{dataset}/predictions/{task}.metrics.html",
            category="Predictions",
            labels={"dataset": "{dataset}", "task": "{task}", "kind": "metrics"},
            caption="../resources/report/metrics.rst",
        ),
    log:
        "logs/evaluate_predictions/{dataset}/{task}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(8000),
    message:
        "Comparing the predictions of {wildcards.task} for {wildcards.dataset} with their labels"
    script:
        "../scripts/evaluate_predictions.py"
