"""From stored embeddings to predictions, and their evaluation where the truth is known.

Requires: converted downstream models and the embeddings they read. Produces: results/{dataset}/predictions.
"""


include: "input_functions/predictions.smk"


rule predict:
    input:
        file=dataset_file,
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        labels=result_of("normalize", "results/{dataset}/sequences/labels.tsv"),
        # The plan says which shards are read, so it is an input whatever else is planned.
        plan=result_of("plan", "results/{dataset}/heads/plan.json"),
        shards=shards_for_heads,
        division_of_shards=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
        splits=parts_of_rows,
        trained=trained_records,
        encoders=once_encoders_are_converted,
        current=unless_current(
            "predict-{task}",
            "results/{dataset}/predictions/{task}.csv",
            "results/{dataset}/predictions/{task}.json",
        ),
    output:
        prediction_outputs(labelled=False),
        receipt="results/{dataset}/receipts/predict-{task}.json",
    log:
        "logs/predict/{dataset}/{task}.log",
    benchmark:
        "benchmarks/predict/{dataset}/{task}.tsv"
    wildcard_constraints:
        dataset=either(dataset.name for dataset in DATASETS.values() if not dataset.columns.label),
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        dataset=dataset_of,
        head=head_folder,
        training=training_of_task,
        own_shards=own_shard_folders,
        note=note_of_task,
        scope=scope_of_task,
        trained_on=sentence_of_scope,
        settings=settings_of("predict-{task}"),
    message:
        "Predicting {wildcards.task} for {wildcards.dataset}"
    script:
        "../scripts/predict.py"


use rule predict as predict_and_evaluate with:
    output:
        prediction_outputs(labelled=True),
        receipt="results/{dataset}/receipts/predict-{task}.json",
    wildcard_constraints:
        dataset=either(dataset.name for dataset in DATASETS.values() if dataset.columns.label),
    message:
        "Predicting {wildcards.task} for {wildcards.dataset}, and comparing the predictions with the labels"
