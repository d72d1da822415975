"""Reading everything back, and finding what no result needs any more.

Requires: results. Removes what is not what it was, so that the next run makes it again.
"""


include: "inputs/verification.smk"


# Without any output, so that it runs whenever it is asked for.
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
        guarded=moved(guarded_folders),
        results=moved(result_folders),
        checkpoints=checkpoint_folders,
        predictions=moved(prediction_reports),
        plans=moved(head_plans),
        heads=head_folders,
    message:
        "Reading all results again"
    script:
        "../scripts/verify_results.py"


# Embeddings that other options left stay, since an option that is changed back finds them again.
rule older:
    input:
        [checkpoint_record(dataset.model) for dataset in SINGLES],
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
        "Listing embeddings that no result is made of"
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
        "Removing embeddings that no result is made of"
