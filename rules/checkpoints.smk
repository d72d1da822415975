"""From a published checkpoint to one that every job can map into memory.

Requires: a checkpoint in LucaOne's layout or a Hugging Face directory. Produces: model.safetensors, checkpoint.json.
"""


checkpoint convert_checkpoint:
    input:
        # What the published files are stands in the origin: neither their place nor their time of change matters.
        origin=origin_file_of_folder,
    output:
        record=f"{CHECKPOINTS}/{{folder}}/checkpoint.json",
        model=f"{CHECKPOINTS}/{{folder}}/model.safetensors",
    log:
        "logs/convert_checkpoint/{folder}.log",
    benchmark:
        "benchmarks/convert_checkpoint/{folder}.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=16000,
    params:
        llm_version=version_of_folder,
        llm_step=step_of_folder,
        root=root_of_folder,
        registry=str(ROOT / "resources/checkpoints.tsv"),
        source=source_of_folder,
    message:
        "Converting the checkpoint {wildcards.folder}"
    script:
        "../scripts/convert_checkpoint.py"
