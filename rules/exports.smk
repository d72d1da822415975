"""Embeddings in the formats of other tools.

Requires: verified embeddings. Produces: results/{dataset}/{model}/export.
"""


include: "input_functions/exports.smk"


rule export_lucaone:
    input:
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        verified=result_of("assemble-{model}", "results/{dataset}/{model}/verified.json"),
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        shards=linked_shards,
        current=unless_current("export-lucaone-{model}", "results/{dataset}/{model}/export/lucaone"),
    output:
        folder=directory("results/{dataset}/{model}/export/lucaone"),
        sums="results/{dataset}/{model}/export/lucaone.sha256",
        # Records which embeddings the files come from, which their names do not say.
        about="results/{dataset}/{model}/export/lucaone.json",
        receipt="results/{dataset}/receipts/export-lucaone-{model}.json",
    log:
        "logs/export_lucaone/{dataset}/{model}.log",
    benchmark:
        "benchmarks/export_lucaone/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(4000),
    params:
        settings=settings_of("export-lucaone-{model}"),
    message:
        "Exporting {wildcards.dataset} as LucaOneApp's files"
    script:
        "../scripts/export_lucaone.py"


rule export_hdf5:
    input:
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        verified=result_of("assemble-{model}", "results/{dataset}/{model}/verified.json"),
        shards=linked_shards,
        current=unless_current("export-{layout}-{model}", "results/{dataset}/{model}/export/{layout}.h5"),
    output:
        "results/{dataset}/{model}/export/{layout}.h5",
        receipt="results/{dataset}/receipts/export-{layout}-{model}.json",
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
        settings=settings_of("export-{layout}-{model}"),
    message:
        "Exporting {wildcards.dataset} as one file, {wildcards.layout}"
    script:
        "../scripts/export_hdf5.py"


rule export_npy:
    input:
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        verified=result_of("assemble-{model}", "results/{dataset}/{model}/verified.json"),
        current=unless_current("export-npy-{model}", "results/{dataset}/{model}/export/ids.tsv"),
    output:
        vectors=expand("results/{{dataset}}/{{model}}/export/{output}.npy", output=OPTIONS.vectors),
        ids="results/{dataset}/{model}/export/ids.tsv",
        receipt="results/{dataset}/receipts/export-npy-{model}.json",
    log:
        "logs/export_npy/{dataset}/{model}.log",
    benchmark:
        "benchmarks/export_npy/{dataset}/{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    params:
        settings=settings_of("export-npy-{model}"),
    message:
        "Exporting the vectors of {wildcards.dataset} for numpy"
    script:
        "../scripts/export_npy.py"


rule export_table:
    input:
        embeddings=result_of("assemble-{model}", "results/{dataset}/{model}/embeddings.h5"),
        verified=result_of("assemble-{model}", "results/{dataset}/{model}/verified.json"),
        records=result_of("normalize", "results/{dataset}/records.tsv"),
        labels=result_of("normalize", "results/{dataset}/sequences/labels.tsv"),
        columns=result_of("normalize", "results/{dataset}/sequences/columns.tsv"),
        current=unless_current(
            "export-{suffix}-{model}", "results/{dataset}/{model}/export/embeddings.{suffix}"
        ),
    output:
        "results/{dataset}/{model}/export/embeddings.{suffix}",
        receipt="results/{dataset}/receipts/export-{suffix}-{model}.json",
    log:
        "logs/export_table/{dataset}/{model}/{suffix}.log",
    benchmark:
        "benchmarks/export_table/{dataset}/{model}/{suffix}.tsv"
    wildcard_constraints:
        suffix="parquet|h5ad|csv|csv[.]gz",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=growing(2000),
    params:
        settings=settings_of("export-{suffix}-{model}"),
    message:
        "Exporting the vectors of {wildcards.dataset} as one table, {wildcards.suffix}"
    script:
        "../scripts/export_table.py"
