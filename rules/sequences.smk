"""From a file of records to distinct normalised sequences, divided into shards.

Requires: the table of datasets. Produces: results/{dataset}/records.tsv and results/{dataset}/sequences.
"""


include: "input_functions/sequences.smk"


rule normalize:
    input:
        # The settings say what the file holds, or for a large one its size and modification time.
        file=ancient(dataset_file),
        settings=settings_of("normalize"),
    output:
        # An older result stays when an input is refused: the job replaces each file at once or not at all.
        records=update("results/{dataset}/records.tsv"),
        sequences=update("results/{dataset}/sequences/distinct.fasta"),
        labels=update("results/{dataset}/sequences/labels.tsv"),
        counts=update("results/{dataset}/sequences/counts.json"),
    log:
        "logs/normalize/{dataset}.log",
    benchmark:
        "benchmarks/normalize/{dataset}.tsv"
    retries: 0
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory_of_normalize,
    params:
        dataset=dataset_of,
    message:
        "Reading and normalising {wildcards.dataset}"
    script:
        "../scripts/normalize.py"


checkpoint split:
    input:
        sequences="results/{dataset}/sequences/distinct.fasta",
        settings=settings_of("split"),
    output:
        table="results/{dataset}/sequences/shards.tsv",
        shards=directory("results/{dataset}/sequences/shards"),
    log:
        "logs/split/{dataset}.log",
    benchmark:
        "benchmarks/split/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
    message:
        "Dividing the sequences of {wildcards.dataset} into shards"
    script:
        "../scripts/split.py"
