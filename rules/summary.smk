"""The end of a run: an overview, a table of the datasets, what their results depend on, a page on the checks, checksums.

Requires: all other results. Produces: results/summary.tsv, its page, overview.html, validation.html, SHA256SUMS, and run.yaml,
overview.tsv and their pages for each dataset.
"""


include: "input_functions/summary.smk"


rule summarise:
    input:
        counts=once_all_are_current(count_files),
        verified=once_all_are_current(verified_files),
        predicted=once_all_are_current(prediction_reports),
        metrics=once_all_are_current(neighbour_metrics),
        trained=once_all_are_current(scores_of_trained),
        others=once_all_are_current(results_without_report),
        current=unless_summarised,
    output:
        table="results/summary.tsv",
        overview=in_report("results/overview.html", "Overview", "key_figures", ("page", "key figures")),
        html=in_report("results/summary.html", "Overview", "summary", ("page", "table of the datasets")),
        validation=in_report("results/validation.html", "Validation", "validation", ("page", "checks")),
        sums="results/SHA256SUMS",
        runs=[f"results/{name}/run.yaml" for name in DATASETS],
        pages=pages_of_runs(),
        receipt="results/receipts/summary.json",
    log:
        "logs/summarise.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        checkpoints=checkpoints_of_datasets,
        settings=summary_settings,
        joined=joined_in_tables_of_records,
        scored=checkpoints_of_scored,
    message:
        "Summarising all datasets"
    script:
        "../scripts/summarise.py"
