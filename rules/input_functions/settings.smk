"""Input functions of rules/settings.smk: the settings that a step depends on."""

from lucaflow.config import step_settings
from lucaflow.config.step_settings import settings_path
from lucaflow.downstream import step_settings as downstream_settings


def settings_of(step):
    """Return the input function for the settings of a step. step: may hold wildcards, such as `predict-{task}`."""

    def file_of_settings(wildcards):
        return settings_file(dataset_of(wildcards), step.format(**dict(wildcards)))

    return file_of_settings


def settings_file(dataset, step):
    return settings_path(f"results/{dataset.name}", step, dataset_settings(dataset, step))


def summary_settings_file(wildcards):
    return settings_path("results", "summary", step_settings.summary_settings(DATASETS.values()))


def settings_to_record(wildcards):
    """Return the content of a file of settings."""
    if wildcards.step == "summary":
        return step_settings.summary_settings(DATASETS.values())
    return dataset_settings(DATASETS[Path(wildcards.place).name], wildcards.step)


def dataset_settings(dataset, step):
    """Return the settings that a step of a dataset depends on. step: such as `normalize`, `predict-ProtLoc`."""
    name, _, of = step.partition("-")
    if name == "normalize":
        return step_settings.normalize_settings(dataset, config)
    if name == "split":
        return step_settings.split_settings(config)
    if name == "lucaone":
        return step_settings.lucaone_export_settings(config)
    if name == "heads":
        digests = {model: sha256_of(model) for model in models_for_heads(dataset)}
        needs = [request_of(task) for task in dataset.tasks]
        return downstream_settings.heads_settings(needs, digests, own_embeddings(dataset), config)
    if name == "predict":
        return downstream_settings.predict_settings(dataset, converted_head(of), request_of(of), config)
    if name == "run":
        return step_settings.run_settings(
            dataset, config, None if dataset.is_pairs else sha256_of(dataset.model)
        )
    if name == "assemble":
        return step_settings.assemble_settings(dataset, OPTIONS, sha256_of(dataset.model))
    return step_settings.comparison_settings(OPTIONS, config, sha256_of(dataset.model))


def record_for_run(wildcards):
    """Return the record of the checkpoint that embeds a dataset; nothing for pairs, which only predictions embed."""
    return [] if dataset_of(wildcards).is_pairs else record_of(wildcards)
