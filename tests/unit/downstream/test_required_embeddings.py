"""Which embeddings downstream models share, and which a dataset has already."""

from pathlib import Path

import numpy as np
import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.required_embeddings import (
    WHOLE,
    EmbeddingRequest,
    Group,
    OwnEmbeddings,
    Plan,
    missing_embeddings,
)
from lucaflow.engine.options import EmbeddingOptions

STEP = Model("lucaone", 5600000)
SHORT = EmbeddingRequest(STEP, 4094, "right", False)
LONGER = EmbeddingRequest(STEP, 5627, "right", False)
LENGTHS = np.array([100, 5000, 4094, 100, 6000])


def lengths_by_limit(missing):
    """Return the lengths of the sequences to embed, by the residues to which they are cut; None: whole."""
    return {
        None if key[1].embedding_complete else key[1].truncation_seq_length: LENGTHS[chosen].tolist()
        for key, chosen in missing.items()
    }


def test_models_that_agree_share():
    missing, reads_own_shards = missing_embeddings(
        LENGTHS, [SHORT, SHORT, EmbeddingRequest(STEP, 4094, "right", False)], []
    )
    assert lengths_by_limit(missing) == {None: [100, 4094, 100], 4094: [5000, 6000]}
    assert not reads_own_shards


def test_models_with_other_limits_share_what_both_read_whole():
    missing, _ = missing_embeddings(LENGTHS, [SHORT, LONGER], [])
    assert lengths_by_limit(missing) == {None: [100, 5000, 4094, 100], 4094: [5000, 6000], 5627: [6000]}


def test_another_checkpoint_or_rows_of_cls_are_no_match():
    others = [
        EmbeddingRequest(Model("lucaone", 36000000), 4094, "right", False),
        EmbeddingRequest(STEP, 4094, "right", True),
    ]
    missing, _ = missing_embeddings(LENGTHS, [SHORT, *others], [])
    assert len({(model, options.matrix_add_special_token) for model, options in missing}) == 3


EVERYTHING = {None: [100, 4094, 100], 4094: [5000, 6000]}
ALL_BUT_SHORT = {None: [4094], 4094: [5000, 6000]}
LONG = {4094: [5000, 6000]}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"outputs": ("matrix",)}, LONG),
        ({"outputs": ("mean", "matrix"), "matrix_add_special_token": True}, LONG),
        ({"outputs": ("matrix",), "embedding_complete": False, "truncation_seq_length": 4094}, {}),
        ({"outputs": ("matrix",), "embedding_complete": False, "truncation_seq_length": 4000}, ALL_BUT_SHORT),
        ({"outputs": ("matrix",), "embedding_complete": False, "trunc_type": "left"}, LONG),
        ({"outputs": ("matrix",), "embedding_fixed_len_a_time": 1000}, ALL_BUT_SHORT),
        ({"outputs": ("mean",)}, EVERYTHING),
        ({"outputs": ("matrix",), "dtype": "float16"}, EVERYTHING),
        ({"outputs": ("matrix",), "precision": "bfloat16"}, EVERYTHING),
        ({"outputs": ("matrix",), "layer": 1}, EVERYTHING),
    ],
)
def test_what_a_dataset_has_is_not_embedded_again(options, left):
    missing, reads_own_shards = missing_embeddings(LENGTHS, [SHORT], [OwnEmbeddings(STEP, EmbeddingOptions(**options))])
    assert reads_own_shards == (left != EVERYTHING)
    assert lengths_by_limit(missing) == left


def test_a_vector_is_served_by_that_vector_alone():
    mean = EmbeddingRequest(STEP, 4094, "right", False, "mean")
    assert (mean.options_of(100).outputs, SHORT.options_of(100).outputs) == (("mean",), ("matrix",))
    own = {name: OwnEmbeddings(STEP, EmbeddingOptions(outputs=(name,))) for name in ("mean", "max", "matrix")}
    assert {name: each.serves(mean, 100) for name, each in own.items()} == {"mean": True, "max": False, "matrix": False}
    missing, _ = missing_embeddings(LENGTHS[:1], [SHORT, mean], [own["mean"]])
    assert [options.outputs for _, options in missing] == [("matrix",)]
    # Steps that read matrices depend on what they did before there were vectors.
    assert ("output" in SHORT.settings(), mean.settings()["output"]) == (False, "mean")


def test_the_embeddings_of_another_checkpoint_do_not_serve():
    _, reads_own_shards = missing_embeddings(
        LENGTHS, [SHORT], [OwnEmbeddings(Model("lucaone", 36000000), EmbeddingOptions(outputs=("matrix",)))]
    )
    assert not reads_own_shards


def test_a_plan_is_what_was_written(tmp_path):
    group = Group(STEP, WHOLE, "ab" * 32, ("0" * 16, "1" * 16))
    path = tmp_path / "plan.json"
    path.write_text(Plan((group,), reads_own_shards=True).to_json())
    plan = Plan.read(path)
    assert plan == Plan((group,), reads_own_shards=True)
    assert plan.group_of("lucaone-5600000", "ab" * 6) == group
    assert group.files(Path("h"))[0] == Path(f"h/lucaone-5600000/{'ab' * 6}/{'0' * 16}.h5")
