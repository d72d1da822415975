"""Verifying all results, and listing or removing unused embeddings.

Requires: results. `verify` removes damaged files, so that the next run makes them again.
"""


include: "input_functions/verification.smk"


# Without an output, so that it runs at every request.
rule verify:
    log:
        "logs/verify.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        folders=moved(dataset_folders),
        results=moved(results_to_verify),
        receipts=moved(receipts_to_verify),
        conversions=receipts_of_conversions,
    message:
        "Verifying all results"
    script:
        "../scripts/verify_results.py"


# Embeddings made with other options stay, so that an option that is changed back finds them.
rule older:
    input:
        [receipt_of_checkpoint(dataset.model) for dataset in [*EMBEDDED, *SCORED]],
    log:
        "logs/older.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        folders=moved(dataset_folders),
        now=fingerprints_now,
        removing=False,
    message:
        "Listing unused embeddings"
    script:
        "../scripts/list_unused.py"


use rule older as remove_older with:
    log:
        "logs/remove_older.log",
    params:
        folders=moved(dataset_folders),
        now=fingerprints_now,
        removing=True,
    message:
        "Removing unused embeddings"
