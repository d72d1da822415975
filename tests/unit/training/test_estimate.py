"""The estimate of a training, by operations that are counted in the real network."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lucaflow.training.estimate import Rows, estimate_training, operations_of
from lucaflow.training.initial import new_head
from lucaflow.training.options import options_of, structure_of

LENGTHS = np.array([40, 40, 25])


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"matrix_pooling_type": "value_attention", "matrix_fc_size": 20},
        {"matrix_pooling_type": "attentive"},
        {"matrix_encoder": True, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
         "num_attention_heads": 2},
    ],
)  # fmt: skip
def test_operations_are_those_of_the_network(stated):
    options = options_of({"task_type": "multi_class", "classifier_size": 12, **stated})
    head = new_head(structure_of(options, (24,), 5), 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head.logits(head.vectors(0, torch.ones(int(LENGTHS.sum()), 24), LENGTHS.tolist()))
    # The counter leaves out what torch's kernel of attention does on a processor.
    attention = 4 * 32 * 2 * int((LENGTHS**2).sum()) if options.matrix_encoder else 0
    assert operations_of(LENGTHS, options, 24, 5) == pytest.approx(counter.get_total_flops() + attention, rel=0.05)


def estimated(**stated):
    options = options_of({"task_type": "multi_class", **stated})
    lengths = np.full(1_000, 350)
    return estimate_training(
        Rows(lengths, lengths[:100], lengths[:100], lengths), options, 2560, 6, (6e10, "2 CPU cores")
    )


def test_a_pooling_that_is_trained_takes_hours_and_the_advice_is_another_one():
    short, long = estimated(), estimated(matrix_pooling_type="value_attention")
    assert short.seconds < 60
    assert long.seconds > 3600
    assert long.pooled_seconds == pytest.approx(short.seconds)
    assert "1,200 rows, 420,000 residues, up to 50 epochs: about " in short.describe()
    assert short.describe().endswith("of memory")
    assert "(a rough guess for 2 CPU cores)" in long.describe()
    assert "would take about" in long.describe() and long.describe().endswith("try it first")
    assert long.memory > short.memory > 8e8 + 1_200 * 2_560 * 4


def test_rows_that_are_cut_and_fewer_epochs_take_less():
    whole, cut = (estimated(matrix_pooling_type="value_attention", matrix_max_length=most) for most in (2048, 102))
    assert cut.residues == 1_200 * 100
    assert cut.seconds < whole.seconds / 3
    half = estimated(matrix_pooling_type="value_attention", num_train_epochs=25)
    assert half.seconds == pytest.approx(whole.seconds / 2, rel=0.01)
