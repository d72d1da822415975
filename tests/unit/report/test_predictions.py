"""Figures and pages of predictions."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from lucaflow.report.predictions import as_html, described, draw


def test_what_a_page_says_of_predictions(records):
    """Ids are compared by type and side; records that were not accepted are ignored."""
    table = pd.DataFrame({"seq_id_a": ["a", "001"], "seq_id_b": ["a", "a"], "prob": [0.5, 0.7]})
    found = described(table, records, ("prot", "gene"))
    assert found["description_a"].tolist() == ["first", "last"]
    assert found[["length_a", "length_b"]].to_numpy().tolist() == [["5", "9"], ["7", "9"]]
    assert "description_b" not in found


def about(task_type, labels, **more):
    return {
        "dataset": "d", "task": "T", "task_type": task_type, "labels": labels, "note": "", "predicted": 4, "failed": 0,
        "scope": "T was trained on yeast.", "warnings": ["3 of 4 are longer"],
        **more,
    }  # fmt: skip


def texts_of(table, record, folder):
    """Draw predictions; return the texts in the SVG in the order in which they are drawn."""
    draw(table, record, folder / "T.png")
    assert (folder / "T.png").read_bytes().startswith(b"\x89PNG")
    drawn = ElementTree.parse(folder / "T.svg").iter("{http://www.w3.org/2000/svg}text")
    return ["".join(each.itertext()) for each in drawn]


def test_classes_have_the_same_order_in_each_panel_and_the_title_says_how_well_they_agree(tmp_path):
    table = pd.DataFrame({"prob": ["0.9", "0.8", "0.7", "0.6"], "label": ["c", "c", "a", "c"]})
    table["ground_truth"] = ["c", "c", "b", "zzz"]
    found = texts_of(table, about("multi_class", ["a", "b", "c"]), tmp_path)
    names = [text for text in found if text in ("a", "b", "c")]
    assert names == ["a", "b", "c"] * 3
    assert "accuracy 0.67 (95 % interval 0.21 to 0.94), n = 3" in found
    assert "T was trained on yeast." in found and "3 of 4 are longer" in found
    assert found.count("2") >= 1 and found.count("3") >= 1, "counts beside the bars"
    without = texts_of(table.drop(columns="ground_truth"), about("multi_class", ["a", "b", "c"]), tmp_path)
    assert "accuracy" not in " ".join(without)


def test_of_many_classes_the_most_frequent_are_shown(tmp_path):
    labels = [f"class {number:02}" for number in range(60)]
    table = pd.DataFrame({"label": [labels[n % 40] for n in range(400)], "prob": "0.5"})
    table["ground_truth"] = table["label"]
    found = texts_of(table, about("multi_class", labels), tmp_path)
    assert [text for text in found if text.startswith("class ")] == labels[:20] * 3
    assert "the 20 most frequent of 60 classes" in found


def test_classes_that_are_numbers_are_shown_with_their_meaning(tmp_path):
    table = pd.DataFrame({"prob": ["0.9", "0.2"], "label": ["1", "0"], "ground_truth": ["1", "1"]})
    meanings = {"0": "does not", "1": "encodes"}
    found = texts_of(table, about("binary_class", ["0", "1"], classes=meanings), tmp_path)
    assert [text for text in found if "of 1" in text] == ["probability of 1: encodes"]
    assert found.count("1: encodes") == found.count("0: does not") == 3


@pytest.mark.parametrize(
    ("task_type", "label", "prob", "truth", "words"),
    [
        ("regression", "1.5", "1.5", ["1", "2"], "mean absolute error 0.5, n = 2"),
        ("multi_label", "['a']", "[0.9]", ["a", "a;b"], "accuracy 0.50 (95 % interval 0.09 to 0.91), n = 2"),
    ],
)
def test_values_and_sets_of_labels(tmp_path, task_type, label, prob, truth, words):
    table = pd.DataFrame({"label": [label] * 2, "prob": [prob] * 2, "ground_truth": truth})
    labels = ["a", "b"] if task_type == "multi_label" else ["0"]
    assert words in texts_of(table, about(task_type, labels), tmp_path)
    assert "accuracy" not in " ".join(texts_of(table.iloc[:0], about(task_type, labels), tmp_path))


def test_a_page_has_four_digits_and_ids_as_they_are():
    table = pd.DataFrame({"seq_id": ["1.10"], "prob": ["0.987654321"], "label": ["<i>"], "length": ["1200"]})
    found = as_html(table, about("multi_class", ["<i>"]), "accuracy 0.5")
    for cell in (">1.10<", "data-order=0.987654321>0.9877<", ">1200<", ">&lt;i&gt;<", "of the dataset: accuracy 0.5."):
        assert cell in found
    assert "The first 1; all are in T.csv." in found
    assert "<p>T was trained on yeast.</p>\n<p>3 of 4 are longer.</p>" in found
    listed = table.assign(prob="[0.98765, 0.1]")
    assert "[0.98765, 0.1]" in as_html(listed, about("multi_label", ["a"]))
