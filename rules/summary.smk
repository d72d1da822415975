"""The end of a run: a table with a row for each dataset, and a page on the checks.

Requires: counts of records, verified embeddings, predictions. Produces: results/summary.tsv, its page, validation.html.
"""


include: "input_functions/summary.smk"


rule summarise:
    input:
        counts=count_files,
        verified=verified_files,
        predicted=prediction_reports,
        settings=summary_settings_file,
    output:
        table="results/summary.tsv",
        html=report(
            "results/summary.html",
            category="Overview",
            caption="../resources/report/summary.rst",
        ),
        validation=report(
            "results/validation.html", category="Validation", caption="../resources/report/validation.rst"
        ),
    log:
        "logs/summarise.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    message:
        "Summarising all datasets"
    script:
        "../scripts/summarise.py"
