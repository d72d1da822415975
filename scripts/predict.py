"""Predict a task for every record of a dataset, draw the predictions, and compare them with labels."""

import lucaflow.quick_start  # noqa: F401

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lucaflow import __version__
from lucaflow.config.step_settings import file_identity
from lucaflow.downstream.conversion import load_head
from lucaflow.downstream.evaluation import METRIC_COLUMNS, compare, evaluate, read_predictions, truths
from lucaflow.downstream.inputs import MATRIX
from lucaflow.downstream.made_elsewhere import find_files
from lucaflow.downstream.matrix_folder import MatrixFolder, show_problems, widths_read
from lucaflow.downstream.models import TrainedHead, read_head
from lucaflow.downstream.prediction import Predictor, ShardReading, Sides, predict, read_sides, sources_of
from lucaflow.downstream.required_embeddings import EmbeddingRequest, OwnEmbeddings, Plan
from lucaflow.downstream.residues import ResidueFormatter, by_residue, shortened_cells, spread_evenly
from lucaflow.downstream.tables import GROUND_TRUTH, SPLIT, Formatter, LabelledSource, write_predictions
from lucaflow.engine.devices import device_name, resolve_device, set_matmul_precision
from lucaflow.engine.gpus import take_gpu
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import InputError, shown
from lucaflow.files.receipts import receipt_path, recorded_settings, recording_step
from lucaflow.files.writing import write_json, write_table, write_text
from lucaflow.logs import IN_LOG_ONLY, reporting_to
from lucaflow.records.counts import counted
from lucaflow.records.sequences import read_shard_names
from lucaflow.records.table import accepted_records
from lucaflow.records.task_folders import class_names_of, is_task_folder
from lucaflow.report.pages import page, paragraph, title_of_page, whole_page
from lucaflow.report.predictions import agreement, as_html, comparison_of, described, draw
from lucaflow.report.provenance import near
from lucaflow.store.assembly import AcceptedRecords, read_accepted
from lucaflow.store.verification import remove_stale_shards
from lucaflow.training.labelled import pairs_of, read_parts
from lucaflow.training.labels import reader_of_residues
from lucaflow.training.options import SEQ_LEVEL, TOKEN_LEVEL
from lucaflow.training.trained_head import ChosenHead, choose_head

logger = logging.getLogger("lucaflow")


def main() -> None:
    """Predict, draw, and compare with the labels if there are any."""
    records = Path(snakemake.input.records)
    require_the_file_that_was_read(records.parent)
    about = predict_all(records)
    predictions = read_predictions(output(".csv"))
    listed = described(predictions, records, about["seq_types"])
    # A model says little about the rows that it was trained on.
    if SPLIT in predictions:
        predictions = predictions[predictions[SPLIT] == "test"].reset_index(drop=True)
    if about["task_level_type"] == TOKEN_LEVEL:
        read_labels = labels_of_residues(about["task_type"], about["labels"])
        predictions = by_residue(spread_evenly(predictions), about["task_type"], about["labels"], read_labels)
        listed = shortened_cells(listed)
    draw(predictions, about, output(".png"))
    compared = comparison_of(predictions, about)
    write_text(output(".html"), as_html(listed, about, agreement(compared, about) if compared else ""))
    if snakemake.params.dataset.columns.label:
        evaluate_against_labels(predictions, about)


def require_the_file_that_was_read(folder: Path) -> None:
    """Raise InputError if the dataset's file has changed since its records were read. folder: results/<dataset>."""
    settings = recorded_settings(receipt_path(folder, "normalize"))
    path = snakemake.params.dataset.path
    if settings is None or settings["file"] != file_identity(path):
        raise InputError(f"{path} has changed since its records were read. Run again.")


def output(suffix: str) -> Path:
    """Return the output whose name is that of the task and a suffix, such as `.metrics.tsv`."""
    name = f"{snakemake.wildcards.task}{suffix}"
    return next(path for path in map(Path, snakemake.output) if path.name == name)


def predict_all(records: Path) -> dict[str, Any]:
    """Predict, and write the tables and the record of how they were made; return that record."""
    torch.set_num_threads(snakemake.threads)
    settings, dataset = snakemake.config["heads"], snakemake.params.dataset
    chosen = chosen_head()
    trained = read_head(chosen.folder)
    device = take_gpu(resolve_device(snakemake.config["compute"]["device"], "float32"))
    set_matmul_precision("float32")
    plan = Plan.read(Path(snakemake.input.plan))
    request = EmbeddingRequest.by(trained.reading, settings["llm_truncation_seq_length"])
    topk = settings["topk"] if trained.task.task_type == "multi_class" else None
    accepted, sides = read_accepted(records), read_sides(records, trained.task)
    started = time.monotonic()
    predictor = Predictor(load_head(chosen.folder, device), device)
    reading = reading_of(plan, trained, request, accepted, sides)
    found = predict(predictor, trained, reading, accepted, sides, topk)
    seconds = time.monotonic() - started
    if isinstance(reading, MatrixFolder):
        require_the_folder_that_was_planned(reading)
        show_problems(reading, dataset.name, output(".failed.csv").name)
    tables = output(".csv"), output(".failed.csv")
    source = labelled_source(records)
    parts = parts_of_records(records, Path(snakemake.input.labels))
    counts = write_predictions(*tables, source, found, formatter_of(trained, topk), truths_of(source, trained), parts)
    about = {
        "dataset": dataset.name,
        "task": snakemake.wildcards.task,
        "task_type": trained.task.task_type,
        "task_level_type": TOKEN_LEVEL if trained.structure.is_token_level else SEQ_LEVEL,
        "labels": list(trained.labels),
        "seq_types": list(trained.task.seq_types),
        "head_sha256": trained.sha256,
        "model": request.model.name,
        "note": chosen.note,
        **({"test_rows": parts.count("test")} if parts else {}),
        **described_model(chosen, trained, accepted, sides, reading),
        **counts,
        "device": device_name(device),
        "lucaflow_version": __version__,
    }
    for group in plan.groups_for(request):
        for path in remove_stale_shards(group.files(Path(snakemake.input.plan).parent)):
            logger.info("removed %s, which is no longer needed", path, extra=IN_LOG_ONLY)
    write_json(output(".json"), about)
    failed = f", {counts['failed']:,} not (reasons in {tables[1]})" if counts["failed"] else ""
    predicted = f"{counted(counts['predicted'], 'row')} predicted{failed}"
    logger.info("%s: %s, in %.1f s on %s", dataset.name, predicted, seconds, device_name(device))
    return about


def formatter_of(trained: TrainedHead, topk: int | None) -> Formatter:
    """Return what turns predictions into cells. Of each residue, the best class alone is kept."""
    threshold = snakemake.config["heads"]["threshold"]
    if trained.structure.is_token_level:
        return ResidueFormatter(trained.task, trained.labels, threshold, None)
    return Formatter(trained.task, trained.labels, threshold, topk)


def truths_of(source: LabelledSource, trained: TrainedHead) -> Callable[[str], bool] | None:
    """Return the function that says whether a label is one that the task can predict; None if no label is."""
    if not trained.structure.is_token_level:
        return truths(source.all_labels(), trained.task.task_type, trained.labels)
    read = labels_of_residues(trained.task.task_type, trained.labels)
    usable = {label for label in set(source.all_labels()) if read(label) is not None}
    return usable.__contains__ if usable else None


def labels_of_residues(task_type: str, classes: Sequence[str]) -> Callable[[str], np.ndarray | None]:
    """Return the function that reads the labels of residues in the dataset."""
    path = snakemake.params.dataset.path
    return reader_of_residues(task_type, classes, class_names_of(path) if is_task_folder(path) else ())


def chosen_head() -> ChosenHead:
    """Return the model of the task; of several that this run trained, the best by dev."""
    params = snakemake.params
    if params.training:
        return choose_head(params.training, map(Path, snakemake.input.trained))
    return ChosenHead(Path(params.head), params.scope, params.trained_on, params.note)


def parts_of_records(records: Path, labels: Path) -> list[str] | None:
    """Return the part of each accepted record, empty for one without; None if the model was trained on other data."""
    if not snakemake.input.splits:
        return None
    given = iter(read_parts(Path(snakemake.input.splits[0])).itertuples(index=False))
    following = next(given, None)
    found = []
    # Both are in the order of the dataset, and splits.tsv leaves out records without a label.
    for part in accepted_records(records, ["id"], labels):
        accepted = pairs_of(part) if snakemake.params.dataset.is_pairs else part
        for identifier, label in accepted.itertuples(index=False):
            is_next = following is not None and isinstance(label, str) and identifier == following.id
            found.append(following.split if is_next else "")
            following = next(given, None) if is_next else following
    return found


def labelled_source(records: Path) -> LabelledSource:
    """Return the dataset's file and the tables of its records and labels."""
    dataset = snakemake.params.dataset
    columns = replace(dataset.columns, label_optional=dataset.metadata is not None)
    invalid_characters = snakemake.config["input"]["invalid_characters"]
    return LabelledSource(dataset.path, columns, records, Path(snakemake.input.labels), invalid_characters)


def described_model(
    chosen: ChosenHead,
    trained: TrainedHead,
    accepted: AcceptedRecords,
    sides: Sides,
    reading: ShardReading | MatrixFolder,
) -> dict[str, Any]:
    """Return what the model was trained on, with warnings of sequences that are unlike these; show them.

    Also what it read, and that it could not be checked, if that was made elsewhere.
    """
    scope, task = chosen.scope, trained.task
    lengths = accepted.lengths[accepted.sequence_rows].reshape(sides.types.shape)[sides.readable]
    elsewhere = isinstance(reading, MatrixFolder)
    warnings = [f"embeddings from {near(str(reading.files.folder))}, made elsewhere, not checked"] if elsewhere else []
    warnings += scope.warnings(task.name, task.seq_types, lengths)
    for warning in warnings:
        logger.warning("%s: %s", snakemake.params.dataset.name, warning)
    about = {"trained_on": asdict(scope), "scope": chosen.sentence, "warnings": warnings}
    about |= {"embeddings": reading.about()} if elsewhere else {}
    return about | ({"classes": dict(scope.classes)} if scope.classes else {})


def reading_of(
    plan: Plan, trained: TrainedHead, request: EmbeddingRequest, accepted: AcceptedRecords, sides: Sides
) -> ShardReading | MatrixFolder:
    """Return how the task reads embeddings: from shards, or from a folder of matrices that were made elsewhere."""
    longest = trained.reading.rows_read(snakemake.config["heads"]["llm_truncation_seq_length"])
    if folder := snakemake.params.dataset.made_elsewhere:
        if request.output != MATRIX:
            raise InputError(f"{trained.task.name} reads vectors, and heads.embeddings has matrices. Leave one out.")
        files = find_files(Path(snakemake.input.records), folder)
        widths = widths_read(trained.structure, accepted.sequence_rows, sides, len(accepted.digests))
        return MatrixFolder(files, request, trained.reading, longest, accepted, widths)
    options = EmbeddingOptions.from_config(snakemake.config["embedding"])
    is_own = plan.reads_own_shards and request.model in snakemake.params.dataset.models
    own = OwnEmbeddings(request.model, options) if is_own else None
    names = read_shard_names(Path(snakemake.input.division_of_shards)) if is_own else []
    own_shards = [Path(snakemake.params.own_shards[request.model.name]) / f"{name}.h5" for name in names]
    sources = sources_of(request, plan, Path(snakemake.input.plan).parent, own, own_shards)
    return ShardReading(sources, request, trained.reading, longest, accepted)


def require_the_folder_that_was_planned(reading: MatrixFolder) -> None:
    """Raise InputError if files of the folder have changed since the job was planned."""
    if reading.files.identity() != snakemake.params.settings["embeddings"]:
        raise InputError(f"{reading.files.folder}: its files changed while they were used. Run again.")


def evaluate_against_labels(predictions: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write metrics of the predictions, as a table and as a page; without rows if no label is one of the task's."""
    alone = ", test rows alone" if "test_rows" in about else ""
    title = f"{about['dataset']}: {about['task']} against the labels{alone}"
    if GROUND_TRUTH not in predictions:
        known = f"the task's classes ({shown(', '.join(about['labels']))})" if about["labels"] else "numbers"
        text = f"nothing to compare: no label in {snakemake.params.dataset.columns.label} is among {known}"
        write_table(output(".metrics.tsv"), pd.DataFrame(columns=METRIC_COLUMNS))
        write_text(
            output(".metrics.html"),
            whole_page(title, [title_of_page(title), paragraph(f"{text[0].upper()}{text[1:]}.")]),
        )
        logger.warning("%s, %s: %s", about["dataset"], about["task"], text)
        return
    comparison = compare(predictions, about["task_type"], about["labels"])
    # Residues of one sequence are no independent evidence.
    of_records = predictions["record"][predictions[GROUND_TRUTH] != ""].to_numpy() if "record" in predictions else None
    found = evaluate(comparison, about["task_type"], of_records)
    write_table(output(".metrics.tsv"), found)
    write_text(output(".metrics.html"), page(found, title))
    if comparison.not_compared:
        logger.warning(
            "%s, %s: %d of %d rows have no label that the task can predict, and were not compared",
            about["dataset"], about["task"], comparison.not_compared, len(predictions),
        )  # fmt: skip


if __name__ == "__main__":
    # The job that normalised the dataset has said how its file is read.
    logging.getLogger("lucaflow.records").setLevel(logging.WARNING)
    with (
        reporting_to(snakemake.log[0], terminal_level=logging.INFO),
        recording_step(snakemake, "records", "labels", "plan", "splits", "trained"),
    ):
        main()
