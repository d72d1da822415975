"""Which labels of a dataset are truths for a task?"""

from __future__ import annotations

import pytest

from lucaflow.downstream.evaluation import truths

CLASSES = ["Nucleus", "Secreted"]


@pytest.mark.parametrize(
    ("task_type", "labels", "usable"),
    [
        ("multi_class", ["Nucleus", "Ribosomal S2", "1"], {"Nucleus"}),
        ("multi_class", ["0", "1", "2"], {"0", "1"}),
        ("binary_class", ["Secreted"], {"Secreted"}),
        ("multi_class", ["Ribosomal S2", "kinase"], None),
        ("multi_class", [], None),
        ("multi_label", ["Nucleus;Secreted", "['Nucleus']", "Nucleus;kinase"], {"Nucleus;Secreted", "['Nucleus']"}),
        ("multi_label", ["kinase"], None),
        ("regression", ["1.5", "-2e3", "high", "nan"], {"1.5", "-2e3"}),
        ("regression", ["high", "inf"], None),
    ],
)
def test_a_label_is_a_truth_if_the_task_can_predict_it(task_type, labels, usable):
    is_truth = truths(labels, task_type, CLASSES)
    assert (is_truth and {label for label in labels if is_truth(label)}) == usable
