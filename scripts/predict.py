"""Predict a task for every record of a dataset."""

import logging
import time
from pathlib import Path

import torch

from lucaflow import __version__
from lucaflow.downstream.conversion import load_head
from lucaflow.downstream.models import read_head
from lucaflow.downstream.prediction import Predictor, predict, read_sides, sources_of
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan
from lucaflow.downstream.tables import Formatter, write_predictions
from lucaflow.engine.devices import device_name, resolve_device, set_matmul_precision
from lucaflow.engine.gpus import take_gpu
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.checksums import size_and_sha256
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.store.assembly import read_accepted
from lucaflow.store.verification import remove_stale_shards

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Predict, and write the tables and the record of how they were made."""
    torch.set_num_threads(snakemake.threads)
    settings, dataset = snakemake.config["heads"], snakemake.params.dataset
    folder, records = Path(snakemake.input.head).parent, Path(snakemake.input.records)
    trained = read_head(folder)
    device = take_gpu(resolve_device(snakemake.config["compute"]["device"], "float32"))
    set_matmul_precision("float32")
    plan = Plan.read(Path(snakemake.input.plan))
    request = EmbeddingRequest.by(trained.reading, settings["llm_truncation_seq_length"])
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    own_embeddings = OwnEmbeddings(dataset.model, options) if plan.reads_own_shards else None
    own_shards = [Path(path) for path in snakemake.input.own]
    sources = sources_of(request, plan, Path(snakemake.input.plan).parent, own_embeddings, own_shards)
    topk = settings["topk"] if trained.task.task_type == "multi_class" else None
    longest = trained.reading.rows_read(settings["llm_truncation_seq_length"])
    started = time.monotonic()
    predictor = Predictor(load_head(folder, device), device)
    found = predict(
        predictor, trained, request, longest, sources, read_accepted(records), read_sides(records, trained.task), topk
    )
    seconds = time.monotonic() - started
    formatter = Formatter(trained.task, trained.labels, settings["threshold"], topk)
    invalid_characters = snakemake.config["input"]["invalid_characters"]
    tables = Path(snakemake.output.predictions), Path(snakemake.output.failed)
    counts = write_predictions(*tables, dataset.path, dataset.columns, records, found, formatter, invalid_characters)
    about = {
        "dataset": dataset.name,
        "task": trained.task.name,
        "task_type": trained.task.task_type,
        "labels": list(trained.labels),
        "seq_types": list(trained.task.seq_types),
        "head_sha256": trained.sha256,
        "model": request.model.name,
        "note": snakemake.params.note,
        **counts,
        "device": device_name(device),
        "lucaflow_version": __version__,
        "files": {path.name: size_and_sha256(path) for path in tables},
    }
    for group in plan.groups_for(request):
        for path in remove_stale_shards(group.files(Path(snakemake.input.plan).parent)):
            logger.info("removed %s, which is no longer needed", path)
    write_json(Path(snakemake.output.about), about)
    logger.info(
        "%d rows predicted, %d not (%s), in %.1f s on %s",
        counts["predicted"], counts["failed"], tables[1].name, seconds, device_name(device),
    )  # fmt: skip


if __name__ == "__main__":
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        main()
