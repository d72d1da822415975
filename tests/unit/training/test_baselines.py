"""Predictions without a network, from real fits and the real MMseqs2."""

import numpy as np
import pytest
from families import family, relative, sequence, unrelated
from labelled_rows import rows_of

from lucaflow.training.baselines import Targets, baseline_predictions, best_hit, choose, composition
from lucaflow.training.leakage import Neighbours, find_neighbours
from lucaflow.training.splits import Split

PARTS = ["train", "train", "train", "dev", "test"]


def split_of(count):
    empty = np.full(count, "", dtype=object)
    return Split(np.array([PARTS[number % 5] for number in range(count)], dtype=object), empty, empty, ())


def no_neighbours(rows):
    size = len(rows.sequences)
    return Neighbours(np.zeros(size), np.zeros(size, dtype=bool), np.full(size, -1))


def accuracy(found, targets, rows):
    compared = targets.compare(found, rows)
    return (compared.truth == compared.predicted).mean()


def test_composition_counts_letters_or_words():
    proteins = composition([sequence("AACX"), sequence("X")], np.array([0, 1, 0]))
    assert proteins[:, :2].tolist() == [[2 / 3, 1 / 3], [0, 0], [2 / 3, 1 / 3]]
    genes = composition([sequence("AAACNACG", "gene")], np.array([0]))
    assert (genes.shape, genes[0, :2].tolist(), genes[0, 6], genes.sum()) == ((1, 64), [1 / 3, 1 / 3], 1 / 3, 1)


@pytest.mark.parametrize("task_type", ["binary_class", "multi_class", "multi_label", "regression"])
def test_what_the_vector_says_is_learned_and_the_majority_is_not(task_type):
    generator = np.random.default_rng(0)
    rows = rows_of([sequence(text) for text in unrelated(500, 60)], ["a"] * 500)
    vectors = generator.normal(size=(500, 6))
    values, classes = {
        "binary_class": ((vectors[:, 0] > 0.3).astype(int), 2),
        "multi_class": (vectors[:, :3].argmax(axis=1), 4),
        "multi_label": ((vectors[:, :3] > 0).astype(int), 3),
        "regression": (vectors[:, 0] * 3 + 10, 1),
    }[task_type]
    targets, split = Targets(task_type, values, classes), split_of(500)
    found = baseline_predictions(rows, split, targets, no_neighbours(rows), [vectors])
    test, usual = split.rows("test"), "mean" if task_type == "regression" else "majority"
    assert [*found] == [usual, "composition", "mean_vector", "best_hit"]
    assert {predicted.shape for predicted in found.values()} == {(500, classes)}
    if task_type == "regression":
        assert np.abs(targets.compare(found["mean_vector"], test).predicted - values[test]).max() < 0.2
        assert found["mean"][0, 0] == pytest.approx(values[split.rows("train")].mean())
    else:
        assert accuracy(found["mean_vector"], targets, test) > 0.93
        assert accuracy(found["majority"], targets, test) < 0.75
    assert np.array_equal(found["best_hit"], found[usual])
    metric = {"regression": "mean absolute error", "multi_label": "macro F1"}.get(task_type, "accuracy")
    assert choose(found, targets, split.rows("dev"), metric) == "mean_vector"
    few = split.rows("dev")[:4]
    missing = {"regression": "Pearson correlation", "binary_class": "ROC AUC"}.get(task_type, "macro F1")
    constant = dict.fromkeys(("first", "second"), found[usual])
    assert choose(constant, targets, few, missing) == "first"
    if task_type in {"multi_class", "multi_label"}:
        # No class has five rows in so small a dev, so there is no macro F1.
        assert choose(found, targets, few, missing) == "mean_vector"


def test_labels_of_the_test_are_not_used():
    rows = rows_of([sequence(text) for text in unrelated(100, 60)], ["a"] * 100)
    split, generator = split_of(100), np.random.default_rng(1)
    labels, vectors = generator.integers(3, size=100), [generator.normal(size=(100, 4))]
    others = np.where(split.parts == "test", 2 - labels, labels)
    one, two = (
        baseline_predictions(rows, split, Targets("multi_class", values, 3), no_neighbours(rows), vectors)
        for values in (labels, others)
    )
    for name, predicted in one.items():
        assert np.array_equal(predicted, two[name]), name


def test_the_best_hit_gives_its_label(mmseqs, tmp_path):
    starts = unrelated(20)
    members = [each for number, start in enumerate(starts) for each in family(start, 5, 0.8, 10 * number)]
    rows, split = rows_of(members, ["a"] * 100), split_of(100)
    labels = np.repeat(np.arange(20) % 4, 5)
    neighbours = find_neighbours(rows, split, mmseqs, tmp_path / "x")
    found = best_hit(rows, split.rows("train"), Targets("multi_class", labels, 4).as_shares(), neighbours)
    assert (found.argmax(axis=1) == labels).all()
    stranger = rows_of([*members, sequence(unrelated(1, seed=5)[0])], ["a"] * 101)
    alone = Neighbours(
        np.append(neighbours.identity, 0), np.append(neighbours.partial, False), np.append(neighbours.best, -1)
    )
    shares = Targets("multi_class", np.append(labels, 0), 4).as_shares()
    assert best_hit(stranger, split.rows("train"), shares, alone)[100].tolist() == [0.25] * 4


def test_a_side_alone_predicts_what_depends_on_it_alone():
    generator = np.random.default_rng(2)
    left = [sequence(relative("A" * 60, generator.random(), number)) for number in range(300)]
    right = [sequence(text, "gene") for text in unrelated(300, 80, 3, "gene")]
    rows, split = rows_of([*zip(left, right, strict=True)], ["a"] * 300), split_of(300)
    values = np.array([each.residues.count("A") > 30 for each in left]).astype(int)
    targets = Targets("binary_class", values, 2)
    found = baseline_predictions(rows, split, targets, no_neighbours(rows))
    test = split.rows("test")
    assert [*found] == ["majority", "composition", "side_a", "side_b", "best_hit"]
    assert accuracy(found["side_a"], targets, test) > 0.9
    assert accuracy(found["side_b"], targets, test) < 0.7
    assert choose(found, targets, split.rows("dev"), "accuracy") in {"side_a", "composition"}
    assert {*baseline_predictions(rows, split, targets, no_neighbours(rows), [np.ones((300, 2)), np.eye(300)])} == {
        "majority", "composition", "mean_vector", "side_a", "side_b", "best_hit",
    }  # fmt: skip
