"""From shards of sequences to a verified embeddings.h5.

Requires: shards and a converted checkpoint. Produces: results/{dataset}/{model}/embeddings.h5 and verified.json.
"""


include: "input_functions/embedding.smk"


checkpoint estimate:
    input:
        counts="results/{dataset}/sequences/counts.json",
        settings=settings_of("assemble-{model}"),
        checkpoint=ancient(record_of),
    output:
        "results/{dataset}/{model}/preflight.json",
    log:
        "logs/estimate/{dataset}/{model}.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        threads=threads_of_embed,
        device=device_to_guess_by,
    message:
        "Estimating the space and time that embedding {wildcards.dataset} takes"
    script:
        "../scripts/estimate.py"


rule embed:
    input:
        # Names identify content, so a modification time never makes a shard run again.
        ancient("results/{dataset}/sequences/shards"),
    output:
        "results/{dataset}/{model}/shards/{fingerprint}/{shard}.h5",
    log:
        "logs/embed/{dataset}/{model}/{fingerprint}/{shard}.log",
    benchmark:
        "benchmarks/embed/{dataset}/{model}/{fingerprint}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=growing(16000),
        gpu=GPUS,
    params:
        model=version_and_step,
    message:
        "Embedding shard {wildcards.shard} of {wildcards.dataset} with {wildcards.model}"
    script:
        "../scripts/embed.py"


rule assemble:
    input:
        shards=shards_of,
        records="results/{dataset}/records.tsv",
        settings=settings_of("assemble-{model}"),
    output:
        "results/{dataset}/{model}/embeddings.h5",
    log:
        "logs/assemble/{dataset}/{model}.log",
    benchmark:
        "benchmarks/assemble/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(8000, records=True),
    message:
        "Assembling the embeddings of {wildcards.dataset}"
    script:
        "../scripts/assemble.py"


rule verify_embeddings:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        records="results/{dataset}/records.tsv",
        settings=settings_of("assemble-{model}"),
        shards=shards_of,
    output:
        "results/{dataset}/{model}/verified.json",
    log:
        "logs/verify_embeddings/{dataset}/{model}.log",
    benchmark:
        "benchmarks/verify_embeddings/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000, records=True),
    message:
        "Checking the embeddings of {wildcards.dataset} against its records"
    script:
        "../scripts/verify_embeddings.py"
