"""What a language model says of the sequences and the variants of a dataset.

Requires: normalised sequences and a converted checkpoint with the head of its language model.
Produces: results/{dataset}/{model}/scores.
"""


include: "input_functions/scores.smk"


wildcard_constraints:
    parts="[0-9]+",
    part="[0-9]+",
    request="[0-9a-f]{12}",


rule prove:
    input:
        proofs_of_all,
    localrule: True
    message:
        "What the language models of the datasets know is recorded beside their checkpoints."


rule prove_checkpoint:
    input:
        current=once_converted_with_head,
    output:
        f"{CHECKPOINTS}/{{folder}}/proof.json",
    log:
        "logs/prove_checkpoint/{folder}.log",
    benchmark:
        "benchmarks/prove_checkpoint/{folder}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        seq_types=types_read_by,
    message:
        "Scoring known sequences with {wildcards.folder}"
    script:
        "../scripts/prove_checkpoint.py"


# Only if one job would take too long. What it computes is in a file that no rule names, so that it survives a kill.
rule score_part:
    input:
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        variants=variants_file,
    output:
        "results/{dataset}/{model}/scores/passes/{fingerprint}/{request}-{part}-of-{parts}.done",
    log:
        "logs/score_part/{dataset}/{model}/{fingerprint}/{request}-{part}-of-{parts}.log",
    benchmark:
        "benchmarks/score_part/{dataset}/{model}/{fingerprint}/{request}-{part}-of-{parts}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000, records=True),
        gpu=GPUS,
    params:
        dataset=dataset_of,
    message:
        "Scoring {wildcards.dataset} with {wildcards.model}: part {wildcards.part} of {wildcards.parts}"
    script:
        "../scripts/score_part.py"


rule score:
    input:
        parts=parts_of_scores,
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        variants=variants_file,
        current=unless_current("score-{model}", *score_paths(variants=False)),
    output:
        score_outputs(variants=False),
        receipt="results/{dataset}/receipts/score-{model}.json",
    log:
        "logs/score/{dataset}/{model}.log",
    benchmark:
        "benchmarks/score/{dataset}/{model}.tsv"
    wildcard_constraints:
        dataset=either(dataset.name for dataset in SCORED if not dataset.variants),
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000, records=True),
        gpu=gpus_of_score,
    params:
        dataset=dataset_of,
        folder=folder_of_scores,
        passes=file_of_passes,
        settings=settings_of("score-{model}"),
    message:
        "Scoring {wildcards.dataset} with {wildcards.model}"
    script:
        "../scripts/score.py"


use rule score as score_variants with:
    input:
        parts=parts_of_scores,
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        sequences=result_of("normalize", "results/{dataset}/sequences/distinct.fasta"),
        variants=variants_file,
        current=unless_current("score-{model}", *score_paths(variants=True)),
    output:
        score_outputs(variants=True),
        receipt="results/{dataset}/receipts/score-{model}.json",
    wildcard_constraints:
        dataset=either(dataset.name for dataset in SCORED if dataset.variants),
    message:
        "Scoring {wildcards.dataset} and its variants with {wildcards.model}"
