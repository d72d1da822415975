"""The page of a trained model: what it was trained on, and how good it is. It needs nothing but itself."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from lucaflow.files.writing import write_text
from lucaflow.report.model_scores import draw_scores
from lucaflow.report.pages import facts, heading, paragraph, table, title_of_page, whole_page
from lucaflow.report.trained_task import is_regression, tested
from lucaflow.report.training_figures import (
    as_image,
    draw_calibration,
    draw_classes_found,
    draw_curves,
    draw_values,
)  # fmt: skip
from lucaflow.report.training_tables import (
    calibration,
    calibration_error,
    classes_table,
    labels_table,
    leakage_columns,
    parts_table,
    reasons_table,
    scores_table,
    subsets_table,
)  # fmt: skip
from lucaflow.report.training_words import number, sentence, warnings_of
from lucaflow.training.resampled_metrics import FEWEST_ROWS_OF_A_CLASS
from lucaflow.training.results import TrainingResult

_MACRO = ("macro F1", "balanced accuracy")


def write_report(result: TrainingResult, path: Path, note: str = "") -> None:
    """Write the page of a trained model, completely or not at all. note: about the encoder, shown in the title."""
    write_text(path, report_page(result, note))


def report_page(result: TrainingResult, note: str = "") -> str:
    """Return the page of a trained model."""
    noted = f" ({note})" if note else ""
    title = f"{result.task}: trained on {result.dataset} by {result.model}{noted}"
    sections = (_summary, _data, _leakage, _training, _test, _classes, _calibration, _values)
    parts = [part for section in sections for part in section(result)]
    return whole_page(title, [title_of_page(title), *parts])


def _summary(result: TrainingResult) -> Iterator[str]:
    yield f"<p><b>{html.escape(sentence(result))}</b></p>\n"
    yield heading("Warnings")
    found = warnings_of(result)
    yield f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in found)}</ul>\n" if found else paragraph("None.")


def _data(result: TrainingResult) -> Iterator[str]:
    yield heading("Data and split")
    yield paragraph(f"The rows were divided by the method {result.method}. {' '.join(result.split.notes)}")
    yield table(parts_table(result))
    reasons = reasons_table(result)
    if reasons["rows"]:
        yield paragraph("Rows that are left out of all three parts:")
        yield table(reasons)
    yield heading("Labels")
    if result.residues is not None:
        yield paragraph("Each residue has a label; a residue is in the part and the cluster of its sequence.")
    yield table(labels_table(result))


def _leakage(result: TrainingResult) -> Iterator[str]:
    yield heading("Resemblance to train")
    yield paragraph(
        "How many rows have a neighbour in train, at this identity or more over most of both sequences. “any part” "
        "counts those that resemble one in any part of the sequence."
    )
    yield table(leakage_columns(result.leakage))
    if result.subsets:
        yield paragraph(f"The {result.metric} on the {tested(result)} with and without such a neighbour:")
        yield table(subsets_table(result))


def _training(result: TrainingResult) -> Iterator[str]:
    options = result.options
    yield heading("Training")
    yield as_image(draw_curves(result), "losses and metric by epoch")
    yield paragraph(
        f"Epoch {result.kept} of {len(result.records)} was kept, by {options.best_metric} on dev. Dev chose it, so its "
        "scores on dev are too good; those on test are not."
    )
    yield facts((name, getattr(options, name)) for name in _OPTIONS)


_OPTIONS = (
    "task_type", "task_level_type", "compatibility", "model_type", "input_type", "matrix_pooling_type",
    "matrix_encoder", "loss", "learning_rate", "num_train_epochs", "per_gpu_train_batch_size", "dropout_prob", "seed",
)  # fmt: skip


def _test(result: TrainingResult) -> Iterator[str]:
    yield heading("Test")
    looked = "after each epoch, as LucaOneTasks does, but" if result.options.is_exact else "once, at the end, and"
    yield paragraph(
        f"The {tested(result)} were looked at {looked} chose nothing. In brackets are 95 % intervals, by drawing "
        "clusters of similar sequences, the same ones for all models. The lead is the paired difference to a baseline: "
        "positive where the model is better."
    )
    yield as_image(
        draw_scores(result.test, result.metric, {result.model}), f"{result.metric} of the model and the baselines"
    )
    yield table(scores_table(result))
    if result.options.task_type == "binary_class":
        yield paragraph(f"Precision, recall, F1 and average precision are those of the class {result.classes[1]}.")
    if result.test.too_rare and any(metric in _MACRO for _, metric in result.test.values):
        names = ", ".join(result.classes[each] for each in result.test.too_rare)
        yield paragraph(
            f"{' and '.join(_MACRO)} leave out classes with fewer than {FEWEST_ROWS_OF_A_CLASS} {tested(result)}: "
            f"{names}."
        )


def _classes(result: TrainingResult) -> Iterator[str]:
    if is_regression(result):
        return
    yield heading("Classes")
    yield table(classes_table(result))
    if result.compared.truth.ndim == 1:
        yield heading("Confusion")
        yield as_image(draw_classes_found(result), f"true and predicted classes of the {tested(result)}")


def _calibration(result: TrainingResult) -> Iterator[str]:
    if is_regression(result) or not len(result.compared.truth):
        return
    bins = calibration(result)
    yield heading("Calibration")
    yield as_image(draw_calibration(bins, result), "stated probability and share of right rows")
    yield paragraph(
        f"Stated probabilities are off by {number(calibration_error(bins))} on average (expected calibration error). "
        "Below the line, the model is surer than it should be."
    )


def _values(result: TrainingResult) -> Iterator[str]:
    if not is_regression(result):
        return
    figure, drawn = draw_values(result)
    yield heading("Values")
    yield as_image(figure, "predicted and true values, and residuals")
    count = len(result.compared.truth)
    if drawn < count:
        yield paragraph(f"{drawn:,} of {count:,} {tested(result)}, spread evenly.")
