"""From shards of sequences to a verified embeddings.h5.

Requires: shards and a converted checkpoint. Produces: results/{dataset}/{model}/embeddings.h5 and verified.json.
"""


include: "input_functions/embedding.smk"


rule embed:
    input:
        shards=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
        counts=result_of("normalize", "results/{dataset}/sequences/counts.json"),
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
        division=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        current=unless_current(
            "assemble-{model}",
            "results/{dataset}/{model}/embeddings.h5",
            "results/{dataset}/{model}/verified.json",
        ),
    output:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        receipt="results/{dataset}/receipts/assemble-{model}.json",
    log:
        "logs/assemble/{dataset}/{model}.log",
    benchmark:
        "benchmarks/assemble/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(8000, records=True),
    params:
        settings=settings_of("assemble-{model}"),
    message:
        "Assembling the embeddings of {wildcards.dataset}, and checking them against its records"
    script:
        "../scripts/assemble.py"


rule embeddings:
    input:
        verified_files,
        shards_of_all,
    localrule: True
    message:
        "All embeddings are there."


rule estimate:
    input:
        estimated_files,
    localrule: True
    message:
        "The estimates of datasets with sequences to embed are above."
