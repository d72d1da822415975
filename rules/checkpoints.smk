"""From a published checkpoint to one that every job can map into memory.

Requires: the Hugging Face Hub, LucaOne's server, or a checkpoint in LucaOne's layout or a Hugging Face directory.
Produces: the published files with SHA256SUMS where they are fetched, model.safetensors, checkpoint.json.
"""


include: "input_functions/checkpoints.smk"


wildcard_constraints:
    # Downstream models are kept beside checkpoints.
    folder=f"(?!{PREFIX})[^/]+",
    published="[^/]+",


# The files themselves are not outputs: Snakemake would remove a partial download, which this job resumes.
rule fetch_checkpoint:
    output:
        update(f"{CHECKPOINTS}/published/{{published}}/fetched.json"),
    log:
        "logs/fetch_checkpoint/{published}.log",
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        places=places_of_published,
    message:
        "Fetching {wildcards.published}"
    script:
        "../scripts/fetch_checkpoint.py"


checkpoint convert_checkpoint:
    input:
        fetched=ancient(fetched_record),
        current=unless_converted,
    output:
        # Other runs may share the directory: the existing files stay until the new ones are complete.
        record=update(f"{CHECKPOINTS}/{{folder}}/checkpoint.json"),
        model=update(f"{CHECKPOINTS}/{{folder}}/model.safetensors"),
        receipt=f"{CHECKPOINTS}/{{folder}}/receipts/convert.json",
    log:
        "logs/convert_checkpoint/{folder}.log",
    benchmark:
        "benchmarks/convert_checkpoint/{folder}.tsv"
    retries: 0
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=16000,
    params:
        llm_version=version_of_folder,
        llm_step=step_of_folder,
        digests=digests_of_packaged,
        settings=origin_of_folder,
    message:
        "Converting the checkpoint {wildcards.folder}"
    script:
        "../scripts/convert_checkpoint.py"
