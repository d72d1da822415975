"""The nearest neighbours of the sequences of a large dataset, or in a large one. Those of others the job searches that draws.

Requires: verified embeddings. Produces: results/{dataset}/{model}/nearest.h5.
"""


include: "input_functions/neighbours.smk"


# Only if one job would take too long: a job for each shard.
rule search_part:
    input:
        embeddings=embeddings_compared,
        shards=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
    output:
        "results/{dataset}/{model}/nearest/{fingerprint}/{shard}.h5",
    log:
        "logs/search_part/{dataset}/{model}/{fingerprint}/{shard}.log",
    benchmark:
        "benchmarks/search_part/{dataset}/{model}/{fingerprint}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=memory_of_search,
        gpu=GPUS,
    params:
        settings=settings_of("search-{model}"),
        k=number_of_neighbours,
    message:
        "Searching the neighbours of shard {wildcards.shard} of {wildcards.dataset} by {wildcards.model}"
    script:
        "../scripts/search_part.py"


rule search:
    input:
        parts=parts_of_search,
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        shards=result_of("normalize", "results/{dataset}/sequences/shards.tsv"),
        reference=reference_files,
        current=unless_current("search-{model}", "results/{dataset}/{model}/nearest.h5"),
    output:
        nearest="results/{dataset}/{model}/nearest.h5",
        receipt="results/{dataset}/receipts/search-{model}.json",
    log:
        "logs/search/{dataset}/{model}.log",
    benchmark:
        "benchmarks/search/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    threads: EMBED_THREADS
    resources:
        mem_mb=memory_of_search,
        gpu=gpus_of_search,
    params:
        settings=settings_of("search-{model}"),
        k=number_of_neighbours,
        folder=folder_of_search,
        labelled=is_reference_labelled,
    message:
        "Searching the neighbours of {wildcards.dataset} by {wildcards.model}"
    script:
        "../scripts/search.py"
