"""From a file of records to distinct normalised sequences, divided into shards.

Requires: the table of datasets. Produces: records.tsv, run.yaml (and .html), and results/{dataset}/sequences.
"""


rule record_settings:
    output:
        "{place}/settings/{step}-{digest}.json",
    log:
        "logs/record_settings/{place}/{step}-{digest}.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        settings=settings_of_step,
    message:
        "Recording what {wildcards.step} depends on in {wildcards.place}"
    script:
        "../scripts/record_settings.py"


rule normalize:
    input:
        # What the file holds, or of a large one its size and time of change, is part of the settings.
        file=ancient(dataset_file),
        settings=normalize_settings_file,
    output:
        # What stood there stays when an input is refused: the job replaces each file at once or not at all.
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
        settings=split_settings_file,
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


rule record_run:
    input:
        settings=run_settings_file,
        checkpoint=ancient(record_for_run),
    output:
        yaml="results/{dataset}/run.yaml",
        html=report(
            "results/{dataset}/run.html",
            category="Provenance",
            labels={"dataset": "{dataset}"},
            caption="../resources/report/provenance.rst",
        ),
    log:
        "logs/record_run/{dataset}.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    message:
        "Recording the configuration of {wildcards.dataset}"
    script:
        "../scripts/record_run.py"
