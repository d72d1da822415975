"""What predicts the labels of residues without a network, and which residues are scored."""

import numpy as np
import pytest

from lucaflow.downstream.evaluation import Comparison, evaluate
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.options import options_of
from lucaflow.training.residue_baselines import Letters, residue_baselines
from lucaflow.training.scored import labels_of_part, outputs_of_residues, residue_targets, scored_residues
from lucaflow.training.splits import LabelledRows, Split

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def task_of(task_type, label_of, count=60, **stated):
    """Return rows of random sequences, of ten 6 train, 2 dev and 2 test, with their labels and what is scored."""
    generator = np.random.default_rng(0)
    options = options_of({"task_type": task_type, "task_level_type": "token_level", **stated})
    residues = ["".join(generator.choice([*LETTERS], 10 + each % 7)) for each in range(count)]
    sequences = [NormalisedSequence(f"{each:064x}", "prot", text) for each, text in enumerate(residues)]
    labels = [label_of(text) for text in residues]
    rows = LabelledRows([f"r{each}" for each in range(count)], sequences, np.arange(count)[:, None], labels)
    parts = np.array([("train", "dev", "test", "train", "train")[each % 5] for each in range(count)], dtype=object)
    names = np.array([f"c{each}" for each in range(count)], dtype=object)
    split = Split(parts, np.full(count, "", dtype=object), names, ())
    classes = () if task_type == "regression" else ("a", "b")
    values = residue_targets(rows, split, options, classes)
    return rows, split, values, scored_residues(values, split, options, classes), options


def next_is_hydrophobic(text):
    return "".join("b" if letter in "AFILMVWY" else "a" for letter in text[1:]) + "-"


def accuracy(found, scored, part="test"):
    chosen = scored.split.rows(part)
    return (found[chosen].argmax(axis=1) == scored.targets.values[chosen]).mean()


def test_only_the_letters_nearby_tell_a_label_of_the_next_residue():
    rows, split, values, scored, _ = task_of("multi_class", next_is_hydrophobic, 200)
    found = residue_baselines(rows, split, values, scored)
    assert accuracy(found["letters_nearby"], scored) > 0.97
    assert accuracy(found["letter"], scored) < 0.75
    share = labels_of_part(values, split, "train").mean()
    np.testing.assert_allclose(found["majority"], np.broadcast_to([1 - share, share], found["majority"].shape))


@pytest.mark.parametrize("task_type", ["regression", "multi_label"])
def test_values_and_sets_have_baselines_too(task_type):
    def label_of(text):
        inner = (letter in "AFILMVWY" for letter in text)
        if task_type == "regression":
            return ",".join("2.5" if each else "-1" for each in inner)
        return ",".join("a;b" if each else "a" for each in inner)

    rows, split, values, scored, _ = task_of(task_type, label_of)
    found = residue_baselines(rows, split, values, scored)
    truth = scored.targets.as_shares()
    errors = {name: np.abs(each - truth).mean() for name, each in found.items()}
    assert max(errors["letter"], errors["letters_nearby"]) < 0.2, errors
    assert errors["mean" if task_type == "regression" else "majority"] > 0.2


def test_residues_without_a_label_and_those_beyond_the_length_are_not_scored():
    rows, split, values, scored, options = task_of("multi_class", next_is_hydrophobic, matrix_max_length=10)
    assert options.longest == 8
    first = int(split.rows("dev")[0])
    assert scored.positions[scored.rows == first].tolist() == [*range(8)]
    assert len(values[first]) == len(rows.sequences[first].residues)
    chosen = np.unique(scored.rows)
    assert {*split.parts[chosen]} == {"dev", "test"}
    # The outputs have a row before and after the residues.
    logits = {int(row): np.arange(10)[:, None] + 100 * row for row in chosen}
    np.testing.assert_array_equal(
        outputs_of_residues(scored, logits, options)[:, 0], scored.positions + 1 + 100 * scored.rows
    )


def test_letters_beyond_an_end_are_none_of_another_sequence():
    around = Letters.of(["AC", "D"]).around(np.array([0, 1]), np.array([1, 0])).toarray().reshape(2, 15, 27)
    assert [row.argmax(axis=1)[5:10].tolist() for row in around] == [[26, 0, 2, 26, 26], [26, 26, 3, 26, 26]]


def test_sequences_are_drawn_whole():
    """Ten sequences, all residues of each right or wrong: the interval is that of ten, not of a thousand."""
    truth, records = np.ones(1000, dtype=int), np.repeat(np.arange(10), 100)
    said = (records < 5).astype(int)
    compared = Comparison(truth, said, said.astype(float), 0)
    whole = evaluate(compared, "binary_class", records).set_index("metric").loc["accuracy"]
    alone = evaluate(compared, "binary_class").set_index("metric").loc["accuracy"]
    assert whole["value"] == alone["value"] == 0.5
    assert whole["high"] - whole["low"] == pytest.approx(0.6, abs=0.1)
    assert alone["high"] - alone["low"] < 0.1
