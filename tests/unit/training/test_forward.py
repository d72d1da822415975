"""A network computes the same whether it is trained or predicts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_trainings import WIDTH, embedding, example, small_head, small_options

from lucaflow.downstream.conversion import pack_encoders
from lucaflow.errors import TrainingError
from lucaflow.training.batches import Batches
from lucaflow.training.dropout import KeyedDropout, no_dropout
from lucaflow.training.forward import outputs
from lucaflow.training.initial import new_head

NETWORKS = {
    "luca_base": {"matrix_encoder": True, "matrix_pooling_type": "value_attention"},
    "a maximum": {"matrix_encoder": True, "matrix_pooling_type": "max"},
    "lucappi": {"model_type": "lucappi", "matrix_encoder": True, "matrix_pooling_type": "attention"},
    "lucappi2": {"model_type": "lucappi2", "matrix_fc_size": "5,4", "matrix_pooling_type": "attentive"},
}


def strong_head(options):
    """Return a network whose weights are large enough that each of its parts changes its outputs."""
    head = small_head(options)
    with torch.no_grad():
        for each in head.parameters():
            each.mul_(15)
    return head


def batch_of(options, head, numbers=(0, 1, 2, 6)):
    batches = Batches(head, options, embedding, torch.device("cpu"), [set()] * options.sides)
    return batches.of([example(number, options) for number in numbers])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pass_in_training_is_that_of_a_prediction(name):
    options = small_options(**NETWORKS[name])
    head = strong_head(options)
    batch = batch_of(options, head)
    found = outputs(head, batch.sides, by_token=False)
    with torch.no_grad():
        pack_encoders(head)
        vectors = [
            head.vectors(side, rows.x.clone(), rows.lengths)[list(rows.places)] for side, rows in enumerate(batch.sides)
        ]
        torch.testing.assert_close(found, head.logits(*vectors), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.parametrize("name", ["luca_base", "a maximum"])
def test_padding_changes_nothing_but_rounding(name, by_token):
    level = "token_level" if by_token else "seq_level"
    head, results = None, []
    for compatibility in ("corrected", "lucaonetasks"):
        options = small_options(**NETWORKS[name], task_level_type=level, compatibility=compatibility)
        head = head or strong_head(options)
        batch = batch_of(options, head)
        (rows,) = batch.sides
        found = outputs(head, batch.sides, by_token)
        if by_token:
            found, _ = rows.without_padding(found)
        results.append(found)
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)


def test_a_sequence_of_several_rows_is_read_once():
    options = small_options(**NETWORKS["lucappi"])
    head = strong_head(options)
    reads, other = [], example(1, options)
    batches = Batches(head, options, lambda key: (reads.append(key), embedding(key))[1], torch.device("cpu"), [])
    pairs = [other, replace(other, sequences=("a1", "b2")), replace(other, sequences=("a3", "b2"))]
    together = outputs(head, batches.of(pairs).sides, by_token=False)
    assert sorted(reads) == ["a1", "a3", "b1", "b2"]
    alone = torch.cat([outputs(head, batches.of([pair]).sides, by_token=False) for pair in pairs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_an_embedding_of_another_model_is_refused():
    options = small_options(matrix_encoder=True)
    batches = Batches(small_head(options), options, lambda _: np.zeros((4, 9)), torch.device("cpu"), [])
    with pytest.raises(TrainingError, match="the embedding of a1 has 9 channels, expected 8"):
        batches.of([example(1, options)])


def test_every_residue_needs_a_label():
    options = small_options(task_level_type="token_level")
    short = replace(example(1, options), target=np.zeros(3, dtype=np.float32))
    batches = Batches(small_head(options), options, embedding, torch.device("cpu"), [])
    with pytest.raises(TrainingError, match="row1 has 3 labels, but its matrix has 4 rows"):
        batches.of([short])
    # A sequence that is cut has labels of residues that are not read.
    cut = small_options(task_level_type="token_level", matrix_max_length=5)
    batch = Batches(small_head(cut), cut, embedding, torch.device("cpu"), []).of([example(1, cut)])
    assert batch.target.tolist()[1:-1] == [1, 1, 1]


def test_every_parameter_has_a_gradient():
    for stated in NETWORKS.values():
        options = small_options(**stated)
        head = small_head(options).requires_grad_(True)
        outputs(head, batch_of(options, head).sides, False, KeyedDropout(0.1, 1, 0)).square().sum().backward()
        assert all(each.grad is not None for each in head.parameters())


def test_initial_weights_follow_from_the_seed_and_the_names():
    """LucaOneTasks' differ from run to run."""
    options = small_options(**NETWORKS["luca_base"])
    first, same, other = (new_head(small_head(options).structure, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(values, same[name]) for name, values in first.items())
    weights = [name for name in first if name.endswith(("proj.weight", "fc1.weight", "classifier.weight", ".U", ".V"))]
    assert not any(torch.equal(first[name], other[name]) for name in weights)
    large = new_head(small_head(small_options(hidden_size=64, matrix_encoder=True)).structure, 1).state_dict()
    assert large["towers.0.encoder.layers.0.fc1.weight"].std().item() == pytest.approx(0.02, rel=0.1)


def test_dropout_depends_on_the_seed_the_step_and_the_place():
    x = torch.ones(200, 500)

    def mask(*key):
        return KeyedDropout(0.2, *key)(x)

    assert torch.equal(mask(1, 5), mask(1, 5))
    masks = [mask(1, 5), mask(1, 6), mask(2, 5)]
    dropout = KeyedDropout(0.2, 1, 5)
    masks.append((dropout(x), dropout(x))[1])
    for number, one in enumerate(masks):
        assert set(one.unique().tolist()) == {0.0, 1.25}
        assert one.mean().item() == pytest.approx(1, abs=0.01)
        for other in masks[:number]:
            # Of two masks that have nothing in common, 0.8^2 + 0.2^2 are equal.
            assert (one == other).float().mean().item() == pytest.approx(0.68, abs=0.01)
    assert no_dropout(x) is x


def test_residues_without_a_label_are_no_negatives():
    """In LucaOneTasks, the rows before and after the residues and those of padding have none of the labels."""
    stated = {"task_type": "multi_label", "task_level_type": "token_level"}
    counts = {}
    for compatibility in ("corrected", "lucaonetasks"):
        options = small_options(**stated, compatibility=compatibility)
        batch = batch_of(options, small_head(options))
        counts[compatibility] = int((~batch.target.isnan()).all(1).sum())
    residues = [len(embedding(f"a{number}")) for number in (0, 1, 2, 6)]
    assert counts == {"corrected": sum(residues), "lucaonetasks": 4 * (max(residues) + 2)}


def test_a_vector_is_read_as_it_is():
    options = small_options(input_type="vector", matrix_pooling_type="none")
    head = small_head(options)
    batches = Batches(head, options, lambda key: embedding(key).mean(0), torch.device("cpu"), [{"a1"}])
    batch = batches.of([example(1, options)])
    np.testing.assert_allclose(batch.sides[0], embedding("a1").mean(0)[None], rtol=1e-6)
    assert batch.sides[0].shape == (1, WIDTH)
