"""From a published checkpoint to one that every job can map into memory.

Requires: a checkpoint in LucaOne's layout or a Hugging Face directory. Produces: model.safetensors, checkpoint.json.
"""


def model_of_folder(wildcards):
    """Return the model whose converted checkpoint is kept in a folder."""
    return next(d.model for d in DATASETS.values() if checkpoint_folder(d.model) == wildcards.folder)


def published_files(wildcards):
    """Return the files to convert; none if they are not to be found, which the job then says in full."""
    model = model_of_folder(wildcards)
    try:
        return [str(path) for path in lucaone_checkpoints.locate(checkpoint_root(model), model).files]
    except LucaFlowError:
        return []


def version_of_folder(wildcards):
    return model_of_folder(wildcards).llm_version


def step_of_folder(wildcards):
    return model_of_folder(wildcards).llm_step


def root_of_folder(wildcards):
    return str(checkpoint_root(model_of_folder(wildcards)))


def source_of_folder(wildcards):
    return source_of(model_of_folder(wildcards))


checkpoint convert_checkpoint:
    input:
        published_files,
    output:
        record=f"{CHECKPOINTS}/{{folder}}/checkpoint.json",
        model=f"{CHECKPOINTS}/{{folder}}/model.safetensors",
    log:
        "logs/convert_checkpoint/{folder}.log",
    benchmark:
        "benchmarks/convert_checkpoint/{folder}.tsv"
    localrule: True
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
    conda:
        ENVIRONMENT
    script:
        "../scripts/convert_checkpoint.py"
