"""A trained model in LucaOneTasks' layout has LucaOneTasks' names, and is the same when it is read again."""

import numpy as np
import pytest
import torch
from golden_cases import golden_folder
from recorded_trainings import names_in, read_training
from small_trainings import CLASSES, WIDTH, small_options

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.conversion import load_head, read_arguments
from lucaflow.downstream.models import choose_task, locate_head, read_head
from lucaflow.training.initial import new_head
from lucaflow.training.options import structure_of
from lucaflow.training.requested import RequestedTraining
from lucaflow.training.splits import SplitOptions
from lucaflow.training.state import EpochRecord
from lucaflow.training.written_head import convert_written, published_tensors, write_head

GOLDEN = golden_folder("training")
ESM = Model("esm2_t6_8M_UR50D", None)
RECORDS = [EpochRecord(1, 4, 0.1, 0.9, {"f1": 0.5, "confusion_matrix": [[1]]}, {}, True)]
CASES = {
    "vectors": {"task_type": "regression"},
    "pooling": {"task_type": "multi_class", "matrix_pooling_type": "value_attention", "matrix_fc_size": (6, 5)},
    "encoder": {"task_type": "multi_label", "matrix_encoder": True, "matrix_pooling_type": "max"},
    "pairs": {"task_type": "binary_class", "model_type": "lucappi2", "matrix_fc_size": (6,)},
    "BERT": {"task_type": "binary_class", "model_type": "lucappi", "matrix_encoder": True},
}


@pytest.mark.parametrize("name", names_in(GOLDEN))
def test_parameters_have_the_names_that_lucaonetasks_writes(name):
    recorded = read_training(GOLDEN, name)
    shapes = {each: tuple(tensor.shape) for each, tensor in published_tensors(recorded._new_head()).items()}
    theirs = {
        each.removeprefix("best/"): recorded.arrays[each].shape
        for each in recorded.arrays
        if each.startswith("best/") and "loss_fct." not in each
    }
    assert shapes == theirs


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_read_again(case, tmp_path):
    options = small_options(**CASES[case])
    classes = (
        ()
        if options.task_type == "regression"
        else ("no", "yes", "some")[: 2 if "binary" in options.task_type else CLASSES]
    )
    head = new_head(structure_of(options, (WIDTH,) * options.sides, max(1, len(classes))), 3)
    types = ("gene", "prot")[: options.sides] if options.sides == 2 else ("prot",)
    training = RequestedTraining("T", "p", types[0], options, SplitOptions(), None, (ESM,))
    task = training.as_task(types, "lucaflow-1", "4")
    write_head(tmp_path / "head", training, ESM.name, task, head, classes, RECORDS)
    first = convert_written(tmp_path / "head", task, tmp_path / "a")
    assert "date" not in first
    assert convert_written(tmp_path / "head", task, tmp_path / "b") == first

    found = load_head(tmp_path / "a")
    with torch.no_grad():
        rows = torch.from_numpy(np.random.default_rng(0).normal(size=(7, WIDTH)).astype(np.float32))
        for ours, theirs in ((head.eval(), found),):
            vectors = [each.vectors(side, rows, [3, 4]) for each in (ours, theirs) for side in range(options.sides)]
            mine, again = vectors[: options.sides], vectors[options.sides :]
            torch.testing.assert_close(theirs.logits(*again), ours.logits(*mine), rtol=1e-5, atol=1e-6)
    record = read_head(tmp_path / "a")
    assert (record.labels, record.reading) == (classes, training.reading(ESM.name))
    assert choose_task(tmp_path / "head", "T", None)[0] == task
    arguments = read_arguments(locate_head(tmp_path / "head", task).log)
    assert (arguments["learning_rate"], arguments["seed"]) == (options.learning_rate, options.seed)
