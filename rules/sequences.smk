"""From a file of records to distinct normalised sequences, divided into shards.

Requires: the table of datasets. Produces: results/{dataset}/records.tsv and results/{dataset}/sequences.
"""


include: "input_functions/sequences.smk"


checkpoint normalize:
    input:
        # The receipt says which content was read, or for a large file its size and modification time.
        file=dataset_file,
        current=unless_current(
            "normalize",
            "results/{dataset}/records.tsv",
            "results/{dataset}/sequences/distinct.fasta",
            compare=["results/{dataset}/sequences/shards.tsv"],
        ),
    output:
        # An older result stays when an input is refused: the job replaces each file at once or not at all. The files of
        # the shards, in a folder beside their table, have names that say their content.
        records=update("results/{dataset}/records.tsv"),
        sequences=update("results/{dataset}/sequences/distinct.fasta"),
        labels=update("results/{dataset}/sequences/labels.tsv"),
        columns=update("results/{dataset}/sequences/columns.tsv"),
        counts=update("results/{dataset}/sequences/counts.json"),
        shards=update("results/{dataset}/sequences/shards.tsv"),
        receipt="results/{dataset}/receipts/normalize.json",
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
        settings=settings_of("normalize"),
    message:
        "Reading and normalising {wildcards.dataset}"
    script:
        "../scripts/normalize.py"
