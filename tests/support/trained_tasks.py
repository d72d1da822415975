"""What there is to show of real small trainings."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
from labelled_rows import rows_of
from small_trainings import embedding, small_head, small_options

from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.baselines import Targets, baseline_predictions
from lucaflow.training.batches import Example
from lucaflow.training.leakage import Neighbours, leakage_table
from lucaflow.training.metric_names import primary_metric
from lucaflow.training.results import TrainingResult, best_baseline, of_all_rows, predictions_of, scores_of
from lucaflow.training.scored import scored_rows
from lucaflow.training.splits import Split
from lucaflow.training.trainer import TrainingData, train

NAMES = ("alpha", "<b>", "gamma")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def trained_task(task_type: str = "multi_class", rows: int = 200, **stated) -> TrainingResult:
    """Train a small network on rows whose label is in their embedding, and compare it with baselines."""
    options = small_options(task_type=task_type, num_train_epochs=4, learning_rate=0.05, **stated)
    generator = np.random.default_rng(0)
    sequences = [
        NormalisedSequence(f"{each:064x}", "prot", "".join(generator.choice([*LETTERS], 20 + each % 9)))
        for each in range(rows)
    ]
    values = {
        "multi_class": np.arange(rows) % 3,
        "binary_class": (np.arange(rows) % 3 > 0).astype(int),
        "multi_label": (np.arange(3) <= (np.arange(rows) % 3)[:, None]).astype(int),
        "regression": np.arange(rows) % 3 - 1.5,
    }[task_type]
    classes = {"regression": (), "binary_class": NAMES[:2]}.get(task_type, NAMES)
    named = [names_of(value, classes) for value in values]
    labels = [";".join(names) or str(value) for names, value in zip(named, values, strict=True)]
    labelled = rows_of(sequences, labels, regression=not classes)
    if classes:
        labelled = replace(labelled, classes=[frozenset(names) for names in named])
    return _result(options, labelled, split_of(rows), Targets(task_type, values, max(1, len(classes))), classes)


def names_of(value, classes) -> list[str]:
    if not classes:
        return []
    return [name for name, there in zip(classes, value, strict=True) if there] if np.ndim(value) else [classes[value]]


def split_of(rows: int) -> Split:
    """Divide rows, each a cluster: of ten, six train, one chooses, two test and one is left out."""
    ten = ("train", "train", "dev", "test", "test", "train", "train", "train", "left_out", "train")
    parts = np.array([ten[each % 10] for each in range(rows)], dtype=object)
    reasons = np.where(parts == "left_out", "another label elsewhere", "").astype(object)
    names = np.array([f"c{each}" for each in range(rows)], dtype=object)
    return Split(parts, reasons, np.where(parts == "left_out", "", names).astype(object), ("A note.",))


def _result(options, rows, split, targets, classes) -> TrainingResult:
    examples = [
        Example(name, (f"a{number}",), np.array(value, dtype=np.float32))
        for number, (name, value) in enumerate(zip(rows.ids, targets.values, strict=True))
    ]
    parts = [tuple(examples[each] for each in split.rows(part)) for part in ("train", "dev", "test")]
    trained = train(small_head(options), TrainingData(*parts), options, embedding)
    size = len(rows.sequences)
    neighbours = Neighbours(np.zeros(size), np.zeros(size, dtype=bool), np.full(size, -1))
    vectors = np.stack([embedding(f"a{number}").mean(axis=0) for number in range(len(rows))])
    baselines = baseline_predictions(rows, split, targets, neighbours, [vectors])
    metric = primary_metric(options.task_type, options.best_metric)
    predicted = of_all_rows(
        split, {part: predictions_of(trained.head, getattr(trained, part)) for part in ("dev", "test")}
    )
    models = {"mini-1": predicted, **baselines}
    dev, _ = scores_of(models, targets, split, split.rows("dev"))
    test, compared = scores_of(models, targets, split, split.rows("test"))
    return TrainingResult(
        dataset="ours", task="Where", model="mini-1", options=options, classes=tuple(classes), rows=rows, split=split,
        method="random", leakage=leakage_table(rows, split, neighbours), records=trained.records,
        kept=trained.best.epoch, metric=metric, dev=dev, test=test,
        baseline=best_baseline(baselines, targets, split, metric),
        scored=scored_rows(targets, split), predicted=predicted, compared=compared["mini-1"],
        subsets={"without a neighbour at 0.5": test},
    )  # fmt: skip


def tables_of(page: str) -> list[dict[str, list[str]]]:
    """Return the tables of a page that have names of columns, as columns of text."""
    found = []
    for table in re.findall("<table><thead>.*?</table>", page, re.DOTALL):
        names, *rows = [[unescape(cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)]
                        for row in re.findall("<tr>(.*?)</tr>", table)]  # fmt: skip
        found.append(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    return found
