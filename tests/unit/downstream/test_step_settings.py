"""The settings on which predictions depend: only those that change them."""

import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.downstream.inputs import HeadInput
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.models import TrainedHead
from lucaflow.downstream.required_embeddings import EmbeddingRequest
from lucaflow.downstream.scope import Scope
from lucaflow.downstream.step_settings import predict_settings
from lucaflow.downstream.structure import HeadStructure
from lucaflow.records.readers import Columns

MODEL = Model("mini", 1)
READING = HeadInput(MODEL, 40, 40, complete=False, trunc_type="right", special=False, frame=True)
STRUCTURE = HeadStructure((8,), 1, None, "max", (8,), "tanh", 8, "tanh", 3, "softmax")
SETTINGS = {"llm_truncation_seq_length": 40, "threshold": 0.5, "topk": 3}


@pytest.mark.parametrize(
    ("task_type", "matters"),
    [
        ("binary_class", {"threshold"}),
        ("multi_label", {"threshold"}),
        ("multi_class", {"topk"}),
        ("regression", set()),
    ],
)
def test_a_threshold_is_for_probabilities_and_a_number_of_classes_for_classes(tmp_path, task_type, matters):
    dataset = Dataset("p", tmp_path / "p.fasta", "prot", Columns(), MODEL)
    task = Task("T", "protein", task_type, "luca_base", "1", "1")
    head = TrainedHead(task, READING, STRUCTURE, ("a", "b", "c"), "0")

    request = EmbeddingRequest.by(READING, 40)

    def settings(**changed):
        return predict_settings(dataset, head, Scope(), request, {"heads": {**SETTINGS, **changed}})

    assert {name for name in ("threshold", "topk") if settings(**{name: 1}) != settings()} == matters
