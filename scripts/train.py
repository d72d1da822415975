"""Train the downstream model of a task on the embeddings by one encoder, and say how good it is."""

import lucaflow.quick_start  # noqa: F401

import logging
import math
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from lucaflow import __version__
from lucaflow.downstream.lucaonetasks import OF_LUCAFLOW
from lucaflow.downstream.models import locate_head
from lucaflow.downstream.prediction import sources_of
from lucaflow.downstream.required_embeddings import OwnEmbeddings, Plan
from lucaflow.embedding.estimate import assumed_speed
from lucaflow.engine.devices import resolve_device
from lucaflow.engine.gpus import take_gpu
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.files.receipts import is_current, recording
from lucaflow.files.writing import write_json
from lucaflow.logs import reporting_to
from lucaflow.records.sequences import read_shard_names
from lucaflow.report.training import write_report
from lucaflow.training.compared import write_resamples
from lucaflow.training.estimate import estimate_training, rows_of
from lucaflow.training.job import Divided, Finished, forget_state, read_at_most, train_task
from lucaflow.training.labelled import ordered_classes, read_division, seq_types_of
from lucaflow.training.results import TrainingResult, write_curves, write_metrics, write_predictions
from lucaflow.training.selection import value_of
from lucaflow.training.stored import StoredEmbeddings
from lucaflow.training.written_head import convert_written, write_head

logger = logging.getLogger("lucaflow")

# Not the sequences: those that are trained on are known by the digests in the table of splits.
READS = ("splits", "leakage", "nearest", "division")


def main(folder: Path) -> list[Path]:
    """Train, and write the results into a folder. Return the files of the model, which are no outputs of the rule."""
    torch.set_num_threads(snakemake.threads)
    training, model = snakemake.params.training, snakemake.wildcards.model
    device = take_gpu(resolve_device(snakemake.config["compute"]["device"], "float32"))
    divided = read_divided()
    say_estimate(divided, device.type)
    used = divided.split.rows("train"), divided.split.rows("dev"), divided.split.rows("test")
    digests = {
        divided.rows.sequences[side].digest for part in used for side in divided.rows.sides[part].ravel().tolist()
    }
    with StoredEmbeddings(sources(), training.request(model), sorted(digests)) as embeddings:
        finished = train_task(
            training, model, divided, embeddings, snakemake.params.width,
            snakemake.params.settings["fingerprint"], device, folder,
        )  # fmt: skip
    write_tables(folder, finished.result)
    files, network_sha256 = write_model(folder, finished)
    write_json(folder / "training.json", described(finished, network_sha256))
    return files


def say_estimate(divided: Divided, device: str) -> None:
    """Log how long the training will take, and how much memory, before it starts."""
    training = snakemake.params.training
    outputs = len(ordered_classes(divided.rows, divided.split, training.options, divided.classes))
    speed = assumed_speed(device, "float32", snakemake.threads)
    expected = estimate_training(
        rows_of(divided.rows, divided.split), training.options, snakemake.params.width, max(1, outputs), speed
    )
    logger.info("%s on %s: %s", training.task, snakemake.wildcards.model, expected.describe())


def read_divided() -> Divided:
    splits, leakage, nearest, division = (Path(snakemake.input[name]) for name in READS)
    sequences = Path(snakemake.input.sequences)
    options = snakemake.params.training.options
    rows, split, neighbours, classes = read_division(splits, nearest, division, sequences, options)
    return Divided(rows, split, neighbours, pd.read_csv(leakage, sep="\t", keep_default_na=False), classes)


def sources() -> list[Any]:
    """Return the shards that have the embeddings: those that are planned for trainings, or the dataset's own."""
    training, model = snakemake.params.training, snakemake.wildcards.model
    plan = Plan.read(Path(snakemake.input.plan))
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    own = OwnEmbeddings(training.model(model), options) if plan.reads_own_shards else None
    names = read_shard_names(Path(snakemake.input.division_of_shards)) if own else []
    own_shards = [Path(snakemake.params.own_shards) / f"{name}.h5" for name in names]
    return sources_of(training.request(model), plan, Path(snakemake.input.plan).parent, own, own_shards)


def write_tables(folder: Path, result: TrainingResult) -> None:
    write_metrics(folder / "metrics.tsv", result)
    write_curves(folder / "curves.tsv", result.records)
    write_predictions(folder / "predictions.csv", result)
    write_resamples(folder / "resamples.tsv", result)
    write_report(result, folder / "report.html", snakemake.params.note)


def write_model(folder: Path, finished: Finished) -> tuple[list[Path], str]:
    """Write the model in LucaOneTasks' layout, and as this run predicts with it.

    Return the files, and the SHA-256 of the network.
    """
    training, model, trained = snakemake.params.training, snakemake.wildcards.model, finished.trained
    seq_types = seq_types_of(finished.result.rows)
    task = training.as_task(seq_types, f"{OF_LUCAFLOW}{finished.digest[:12]}", str(trained.best.step))
    root = folder / "head"
    write_head(root, training, model, task, trained.head, finished.result.classes, trained.records)
    record = convert_written(root, task, folder / "converted")
    written = locate_head(root, task).files
    converted = folder / "converted"
    return [*written, converted / "checkpoint.json", converted / "model.safetensors"], record["network_sha256"]


def described(finished: Finished, network_sha256: str) -> dict[str, Any]:
    """Return training.json. Nothing in it depends on the machine."""
    training, result = snakemake.params.training, finished.result
    counts = {part: len(result.split.rows(part)) for part in ("train", "dev", "test")}
    sides = result.rows.sides[result.split.rows("train")].T.tolist()
    longest = [max(len(result.rows.sequences[each].residues) for each in side) for side in sides]
    value, most = result.value_of_dev, read_at_most(training.options)
    chosen = value_of(finished.trained.best.dev, training.options)
    return {
        "task": training.task,
        "dataset": training.dataset,
        "model": result.model,
        "task_type": training.options.task_type,
        "task_level_type": training.options.task_level_type,
        "classes": list(result.classes),
        "seq_types": list(seq_types_of(result.rows)),
        "longest": [min(each, most) for each in longest],
        "rows": counts,
        **({"residues": {p: len(each) for p, each in result.residues.items()}} if result.residues else {}),
        "metric": result.metric,
        "dev": value if math.isfinite(value) else None,
        "epoch_metric": training.options.best_metric,
        # More is better: errors have a minus.
        "epoch_value": chosen if math.isfinite(chosen) else None,
        "baseline": result.baseline,
        "kept_epoch": result.kept,
        "epochs": len(result.records),
        "training_sha256": finished.digest,
        "network_sha256": network_sha256,
        "lucaflow_version": __version__,
    }


if __name__ == "__main__":
    receipt = Path(snakemake.output.receipt)
    folder = receipt.parents[1] / "training" / snakemake.wildcards.task / snakemake.wildcards.model
    outputs = [Path(path) for path in snakemake.output]
    with reporting_to(snakemake.log[0], terminal_level=logging.INFO):
        if is_current(receipt, snakemake.params.settings):
            # The division was made again, to the same parts: other columns or unlabelled records have changed.
            logger.info("%s: nothing that the training depends on has changed", snakemake.wildcards.task)
        else:
            with recording(receipt, snakemake.params.settings, outputs, [snakemake.input[name] for name in READS]):
                outputs += main(folder)
    # Only now, so that a job that is killed before goes on with it.
    forget_state(folder)
