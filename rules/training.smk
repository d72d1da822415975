"""From a labelled dataset to downstream models, trained on its embeddings, and how good they are.

Requires: the records, labels and sequences of a dataset, and the embeddings that are planned for its trainings.
TRAININGS (rules/common.smk) has all that the configuration asks for, TRAINED (rules/downstream.smk) those that predict.
Produces: results/{dataset}/training/{task}.
"""


include: "input_functions/training.smk"


rule divide:
    input:
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        labels=result_of("normalize", "results/{dataset}/sequences/labels.tsv"),
        columns=result_of("normalize", "results/{dataset}/sequences/columns.tsv"),
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        current=unless_current(
            "divide-{task}",
            "results/{dataset}/training/{task}/splits.tsv",
            "results/{dataset}/training/{task}/leakage.tsv",
        ),
    output:
        # An older division stays when labels are refused.
        splits=update("results/{dataset}/training/{task}/splits.tsv"),
        leakage=update("results/{dataset}/training/{task}/leakage.tsv"),
        nearest=update("results/{dataset}/training/{task}/nearest.tsv"),
        division=update("results/{dataset}/training/{task}/division.json"),
        receipt="results/{dataset}/receipts/divide-{task}.json",
    log:
        "logs/divide/{dataset}/{task}.log",
    benchmark:
        "benchmarks/divide/{dataset}/{task}.tsv"
    retries: 0
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(8000, records=True),
    params:
        training=training_of,
        dataset=dataset_of,
        settings=settings_of("divide-{task}"),
    message:
        "Dividing the labelled rows of {wildcards.dataset} into train, dev and test for {wildcards.task}"
    script:
        "../scripts/divide.py"


# An older result stays while the job finds that nothing has changed. The state of a training, beside its results, is no
# output: with it a training goes on after an interruption.
rule train:
    input:
        splits=result_of("divide-{task}", "results/{dataset}/training/{task}/splits.tsv"),
        leakage=result_of("divide-{task}", "results/{dataset}/training/{task}/leakage.tsv"),
        nearest=result_of("divide-{task}", "results/{dataset}/training/{task}/nearest.tsv"),
        division=result_of("divide-{task}", "results/{dataset}/training/{task}/division.json"),
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        # The plan says which shards are read, so it is an input whatever else is planned.
        plan=result_of("plan", "results/{dataset}/heads/plan.json"),
        shards=shards_for_training,
        division_of_shards=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
        encoder=once_encoder_is_converted,
        current=unless_current("train-{task}@{model}", *map(OF_TRAINED.format, TRAINING_FILES)),
    output:
        trained_outputs(),
        receipt=update("results/{dataset}/receipts/train-{task}@{model}.json"),
    log:
        "logs/train/{dataset}/{task}/{model}.log",
    benchmark:
        "benchmarks/train/{dataset}/{task}/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        training=training_of,
        width=width_of_model,
        own_shards=own_shard_folder,
        note=note_of_encoder,
        settings=settings_of("train-{task}@{model}"),
    message:
        "Training {wildcards.task} on the embeddings of {wildcards.dataset} by {wildcards.model}"
    script:
        "../scripts/train.py"


rule compare_models:
    input:
        resamples=of_each_model("resamples.tsv"),
        records=of_each_model("training.json"),
        current=unless_current("compare-{task}", *map(OF_TASK.format, result_files.OF_TASK)),
    output:
        comparison_outputs(),
        receipt="results/{dataset}/receipts/compare-{task}.json",
    log:
        "logs/compare_models/{dataset}/{task}.log",
    benchmark:
        "benchmarks/compare_models/{dataset}/{task}.tsv"
    conda:
        ENVIRONMENT
    params:
        training=training_of,
        settings=settings_of("compare-{task}"),
    message:
        "Comparing the models of {wildcards.task} with each other and with baselines"
    script:
        "../scripts/compare_models.py"


rule trainings:
    input:
        trained_files,
    localrule: True
    message:
        "All downstream models are trained."
