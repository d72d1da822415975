"""From trained downstream models and the embeddings they were trained on to predictions.

Requires: a trained model (LucaOne's server, a LucaOneTasks root, or packaged), normalised sequences, the checkpoint
that the model names. Produces: results/{dataset}/heads, where no other embedding serves, and results/{dataset}/predictions.
"""


checkpoint convert_head:
    input:
        # What the published files are stands in the origin: neither their place nor their time of change matters.
        origin=head_origin_file_of_wildcards,
        fetched=ancient(fetched_record_of_head),
    output:
        record=update(f"{CHECKPOINTS}/{{head}}/head.json"),
        model=update(f"{CHECKPOINTS}/{{head}}/model.safetensors"),
    log:
        "logs/convert_head/{head}.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=4000,
    params:
        head=head_of_wildcards,
    message:
        "Converting the trained model {wildcards.head}"
    script:
        "../scripts/convert_head.py"


checkpoint plan_heads:
    input:
        sequences="results/{dataset}/sequences/distinct.fasta",
        # Its date keeps Snakemake 9.27 from finding a planned checkpoint rule unneeded in the middle of a run.
        counts="results/{dataset}/sequences/counts.json",
        settings=heads_settings_file,
        checkpoints=checkpoints_of_heads,
        # Not ancient, and with a date in each: what is converted again must not leave this planned and unneeded.
        heads=head_records_of_dataset,
    output:
        plan="results/{dataset}/heads/plan.json",
        sequences=directory("results/{dataset}/heads/sequences"),
    log:
        "logs/plan_heads/{dataset}.log",
    benchmark:
        "benchmarks/plan_heads/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
    params:
        dataset=dataset_of,
    message:
        "Finding out which embeddings the trained models need for {wildcards.dataset}"
    script:
        "../scripts/plan_heads.py"


rule embed_for_heads:
    input:
        # Names identify content, so that no time of change makes a shard run again.
        sequences=ancient("results/{dataset}/heads/sequences"),
        plan=ancient("results/{dataset}/heads/plan.json"),
    output:
        "results/{dataset}/heads/{llm}/{fingerprint}/{shard}.h5",
    log:
        "logs/embed_for_heads/{dataset}/{llm}/{fingerprint}/{shard}.log",
    benchmark:
        "benchmarks/embed_for_heads/{dataset}/{llm}/{fingerprint}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    message:
        "Embedding shard {wildcards.shard} of {wildcards.dataset} with {wildcards.llm} for its trained models"
    script:
        "../scripts/embed_for_heads.py"


rule predict:
    input:
        file=ancient(dataset_file),
        records="results/{dataset}/records.tsv",
        labels="results/{dataset}/sequences/labels.tsv",
        # Which shards are read is among the inputs, whatever else is planned.
        plan=ancient("results/{dataset}/heads/plan.json"),
        settings=predict_settings_file,
        head=head_record_of_task,
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
