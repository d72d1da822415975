import numpy as np
import pytest

from lucaflow.training.labels import (
    class_names,
    classes_in,
    compared_labels,
    reader_of_residues,
    target_of,
    with_names,
)
from lucaflow.training.options import options_of


def options(task_type, **further):
    return options_of({"task_type": task_type, **further})


@pytest.mark.parametrize(
    "name", ["class3", "007", "max", "__import__('os').getpid()", "a;b", "[1, 2]", "nucleus, inner"]
)
def test_a_class_is_its_name_and_nothing_is_evaluated(name):
    classes = class_names([name, "other", " other "], options("multi_class"))
    assert set(classes) == {name, "other"}
    assert target_of(name, options("multi_class"), classes) == classes.index(name)


def test_only_several_labels_are_divided_at_semicolons():
    several = options("multi_label")
    assert class_names(["a;b", "c", '["d", "a"]', ""], several) == ("a", "b", "c", "d")
    assert target_of("c; a", several, "abc").tolist() == [1, 0, 1]
    assert target_of("[]", several, "abc").tolist() == [0, 0, 0]
    assert np.isnan(target_of("", several, "abc")).all()


@pytest.mark.parametrize(
    ("task_type", "text", "expected"),
    [
        ("multi_class", "HHE-", [1, 1, 0, np.nan]),
        ("multi_class", "H,H,E,", [1, 1, 0, np.nan]),
        ("multi_class", "H H E E", [1, 1, 0, 0]),
        ("multi_class", "H - -100 E", [1, np.nan, np.nan, 0]),
        ("multi_class", '["H", "H", "E", null]', [1, 1, 0, np.nan]),
        ("multi_label", "H;E,H,,E", [[1, 1], [0, 1], [np.nan, np.nan], [1, 0]]),
        ("multi_label", '[["H", "E"], ["H"], [], null]', [[1, 1], [0, 1], [0, 0], [np.nan, np.nan]]),
        ("regression", "1,2.5,,-100", [1, 2.5, np.nan, -100]),
    ],
)
def test_residues_have_labels_of_their_own(task_type, text, expected):
    by_token = options(task_type, task_level_type="token_level")
    np.testing.assert_array_equal(target_of(text, by_token, ("E", "H"), 4), expected)
    if task_type != "regression":
        assert class_names([text], by_token) == ("E", "H")


@pytest.mark.parametrize(
    ("task_type", "text", "message"),
    [
        ("multi_class", "x", "'x' is none of the classes: E, H"),
        ("multi_label", "E;x", "'x' is none of the classes: E, H"),
        ("multi_label", "[E]", r"'\[E\]' is not a JSON list"),
        ("regression", "high", "'high' is not a finite number"),
        ("regression", "inf", "'inf' is not a finite number"),
    ],
)
def test_a_label_that_cannot_be_used_is_told(task_type, text, message):
    with pytest.raises(ValueError, match=message):
        target_of(text, options(task_type), ("E", "H"))


def test_residues_of_a_folder_of_lucaonetasks_have_digits_or_lists_of_names():
    by_token = options("multi_class", task_level_type="token_level")
    assert with_names("0110", by_token, ("in", "out")) == '["in", "out", "out", "in"]'
    assert with_names("0110", options("multi_class"), ("in", "out")) == "0110"
    assert with_names("0110", by_token, ()) == "0110"
    read = reader_of_residues("multi_class", ("in", "out"), ("in", "out"))
    np.testing.assert_array_equal(read("10"), [1, 0])
    np.testing.assert_array_equal(read('["in", null]'), [0, np.nan])
    assert read("12") is None, "2 is no class"
    assert read("[null, null]") is None


def test_classes_that_are_numbers_are_in_the_order_of_their_values():
    names = [str(number) for number in range(12)]
    assert class_names(reversed(names), options("multi_class")) == tuple(names)
    assert class_names(["-1", "+1", "0"], options("multi_class")) == ("-1", "0", "+1")
    assert class_names([*names, "x"], options("multi_class"))[:3] == ("0", "1", "10")


def test_classes_of_residues_in_lucaonetasks_tables_are_numbers():
    exact = {"compatibility": "lucaonetasks", "task_level_type": "token_level"}
    assert classes_in("0120", options("multi_class", **exact)) == {"0", "1", "2"}
    assert classes_in("[-100, 12, 0]", options("multi_class", **exact)) == {"0", "12"}
    assert classes_in("[[], [3, 1]]", options("multi_label", **exact)) == {"1", "3"}
    with pytest.raises(ValueError, match="is not a list with the label of each residue"):
        classes_in("-5", options("multi_class", **exact))


def test_each_residue_needs_a_label():
    with pytest.raises(ValueError, match="it has 3 labels, expected one for each of the 4 residues"):
        target_of("HHE", options("multi_class", task_level_type="token_level"), ("E", "H"), 4)


def test_lucaonetasks_labels_are_literals():
    exact = {"compatibility": "lucaonetasks"}
    assert np.isnan(target_of("-100", options("multi_class", **exact), "abc"))
    assert target_of("[0,2]", options("multi_label", **exact), "abc").tolist() == [1, 0, 1]
    assert target_of("011", options("binary_class", task_level_type="token_level", **exact), "ab").tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="is not a label of LucaOneTasks"):
        target_of("__import__('os').getpid()", options("multi_class", **exact), "abc")
    with pytest.raises(ValueError, match=r"'\[7\]' is not a label of multi_label"):
        target_of("[7]", options("multi_label", **exact), "abc")


def test_equal_labels_of_residues_are_equal_however_they_are_written():
    numbers = options("regression", task_level_type="token_level")
    assert compared_labels("1,2.50,-", numbers) == compared_labels("[1.0, 2.5, null]", numbers)
    assert compared_labels("1,x", numbers) == (1.0, "x")
    sets = options("multi_label", task_level_type="token_level")
    assert compared_labels("A;B B;A", sets) == compared_labels('[["B", "A"], ["A", "B"]]', sets)
