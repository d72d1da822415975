"""The settings that each step depends on, in files whose names change with their content.

Requires: the configuration. Produces: results/{place}/settings, results/{dataset}/run.yaml and its page.
"""


include: "input_functions/settings.smk"


wildcard_constraints:
    place="results(/[^/]+)?",
    step=r"normalize|split|heads|predict-[^/]+|(assemble|lucaone|precisions|stitchings)-[^/]+|run|summary",


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
        settings=settings_to_record,
    message:
        "Recording what {wildcards.step} depends on in {wildcards.place}"
    script:
        "../scripts/record_settings.py"


rule record_run:
    input:
        settings=settings_of("run"),
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
