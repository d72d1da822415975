"""Reading everything back.

Requires: results. Removes what is not what it was, so that the next run makes it again.
"""


# Without any output, so that it runs whenever it is asked for.
rule verify:
    log:
        "logs/verify.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        results=result_folders,
        checkpoints=checkpoint_folders,
        predictions=prediction_reports,
        plans=head_plans,
        heads=head_folders,
    message:
        "Reading all results again"
    script:
        "../scripts/verify_results.py"
