"""From a published checkpoint to one that every job can map into memory.

Requires: the Hugging Face Hub, LucaOne's server, a checkpoint in LucaOne's layout or a Hugging Face directory, or a
downstream model in LucaOneTasks' layout. Produces: the published files with SHA256SUMS where they are fetched,
model.safetensors, checkpoint.json.

These files are not outputs, which Snakemake would remove when a job fails or with --delete-all-output: other runs may use
them. The output of each rule is the record that its files are complete.
"""


include: "input_functions/checkpoints.smk"


wildcard_constraints:
    folder="[^/]+",
    published="[^/]+",


# A partial download stays, which this job resumes.
checkpoint fetch_checkpoint:
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


# The existing model stays until the new one is complete.
checkpoint convert_checkpoint:
    input:
        fetched=once_fetched,
        current=unless_converted,
    output:
        # Other runs may use the model while this job finds it converted: the receipt stays until it is written again.
        receipt=update(f"{CHECKPOINTS}/{{folder}}/receipts/convert.json"),
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
        source=source_of,
        task=task_of,
        digests=digests_of_packaged,
        needs_head=head_is_needed,
        settings=settings_of_conversion,
    message:
        "Converting the weights of {wildcards.folder}"
    script:
        "../scripts/convert_checkpoint.py"
