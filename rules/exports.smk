"""Embeddings in the formats of other tools.

Requires: verified embeddings. Produces: results/{dataset}/{model}/export.
"""

from lucaflow.versions import EXPORT_VERSION


rule export_lucaone:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        records="results/{dataset}/records.tsv",
        settings=settings_of("lucaone-{model}"),
        shards=linked_shards,
    output:
        folder=directory("results/{dataset}/{model}/export/lucaone"),
        # Records which embeddings the files come from, which their names do not say.
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


rule export_hdf5:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        shards=linked_shards,
    output:
        "results/{dataset}/{model}/export/{layout}.h5",
    log:
        "logs/export_hdf5/{dataset}/{model}/{layout}.log",
    benchmark:
        "benchmarks/export_hdf5/{dataset}/{model}/{layout}.tsv"
    wildcard_constraints:
        layout="standalone|by_id",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    params:
        outputs=OPTIONS.outputs,
        algorithm=EXPORT_VERSION,
    message:
        "Exporting {wildcards.dataset} as one file, {wildcards.layout}"
    script:
        "../scripts/export_hdf5.py"


rule export_npy:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
    output:
        vectors=expand("results/{{dataset}}/{{model}}/export/{output}.npy", output=OPTIONS.vectors),
        ids="results/{dataset}/{model}/export/ids.tsv",
    log:
        "logs/export_npy/{dataset}/{model}.log",
    benchmark:
        "benchmarks/export_npy/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    params:
        outputs=OPTIONS.vectors,
        algorithm=EXPORT_VERSION,
    message:
        "Exporting the vectors of {wildcards.dataset} for numpy"
    script:
        "../scripts/export_npy.py"


rule export_table:
    input:
        embeddings="results/{dataset}/{model}/embeddings.h5",
        verified="results/{dataset}/{model}/verified.json",
        records="results/{dataset}/records.tsv",
        labels="results/{dataset}/sequences/labels.tsv",
    output:
        "results/{dataset}/{model}/export/embeddings.{suffix}",
    log:
        "logs/export_table/{dataset}/{model}/{suffix}.log",
    benchmark:
        "benchmarks/export_table/{dataset}/{model}/{suffix}.tsv"
    wildcard_constraints:
        suffix="parquet|h5ad",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    params:
        outputs=OPTIONS.vectors,
        algorithm=EXPORT_VERSION,
    message:
        "Exporting the vectors of {wildcards.dataset} as one table, {wildcards.suffix}"
    script:
        "../scripts/export_table.py"
