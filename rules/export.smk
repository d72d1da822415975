"""Embeddings in the formats of other tools.

Requires: verified embeddings. Produces: results/{dataset}/{model}/export.
"""


rule export_lucaone:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        records="results/{dataset}/records.tsv",
        settings=lucaone_export_settings_file,
        shards=linked_shards_of_dataset,
    output:
        folder=directory("results/{dataset}/{model}/export/lucaone"),
        # Which embeddings the files are of: their names do not say it.
        about="results/{dataset}/{model}/export/lucaone.json",
    log:
        "logs/export_lucaone/{dataset}/{model}.log",
    benchmark:
        "benchmarks/export_lucaone/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
    message:
        "Exporting {wildcards.dataset} as LucaOneApp's files"
    script:
        "../scripts/export_lucaone.py"
