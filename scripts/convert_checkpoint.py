"""Convert a published encoder or downstream model to safetensors once."""

from pathlib import Path
from typing import Any

from lucaflow.checkpoints.conversion_job import convert_source
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    HEAD_ENTRY,
    HEAD_NAME,
    MODEL_NAME,
    encoder_source,
    read_record,
)
from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.config.datasets import read_datasets
from lucaflow.config.resolve import refuse_missing_checkpoint, stated_models
from lucaflow.downstream.models import HeadSource, TrainedHead, is_embedded_for, read_head, refuse_other_model
from lucaflow.errors import CheckpointError
from lucaflow.files.receipts import write_receipt
from lucaflow.logs import reporting_to
from lucaflow.schemas import read_yaml


def refuse_without_checkpoint(head: TrainedHead) -> None:
    """Raise ConfigError or CheckpointError if the encoder that a downstream model was trained on is not available.

    Where all embeddings for it were made elsewhere it is not needed. These must be by that encoder.
    """
    config, model, clone = snakemake.config, head.reading.model, Path(snakemake.scriptdir).parent
    datasets = read_datasets(Path(config["datasets"]), schema("datasets"), config)
    refuse_other_model(snakemake.params.task, model, datasets.values())
    if not is_embedded_for(snakemake.params.task, datasets.values()):
        return
    registry = read_checkpoints(clone / "resources/checkpoints.tsv", schema("checkpoints"))
    refuse_missing_checkpoint(head.task.name, model, config, stated_models(config, datasets.values()), registry)
    source = encoder_source(model, config["checkpoints"], clone)
    if not (source.is_fetched or (source.folder / CHECKPOINT_RECORD).is_file()):
        try:
            source.located()
        except CheckpointError as error:
            raise CheckpointError(
                f"task {head.task.name} was trained on embeddings by {model.name}. {error}"
            ) from error


def schema(name: str) -> Any:
    return read_yaml(Path(snakemake.scriptdir).parent / f"config/schemas/{name}.schema.yaml")


if __name__ == "__main__":
    source = snakemake.params.source
    with reporting_to(snakemake.log[0]):
        convert_source(source, snakemake.params.digests, snakemake.params.needs_head)
        if isinstance(source, HeadSource):
            refuse_without_checkpoint(read_head(source.folder))
        record = read_record(source.folder)
        weights = {source.folder / MODEL_NAME: record["model"]}
        if "sha256" in (head := record.get(HEAD_ENTRY) or {}):
            weights[source.folder / HEAD_NAME] = {key: head[key] for key in ("bytes", "sha256")}
        outputs = [source.folder / CHECKPOINT_RECORD, *weights]
        write_receipt(Path(snakemake.output.receipt), snakemake.params.settings, outputs, known=weights)
