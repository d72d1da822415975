"""The options of embedding: their defaults, and which of them change a result."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from workflow_runs import ROOT

from lucaflow.config.resolve import resolve
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import ConfigError
from lucaflow.schemas import read_yaml

DEFAULTS = resolve({}, read_yaml(ROOT / "config/schemas/config.schema.yaml"))["embedding"]


def options(**changed):
    return EmbeddingOptions.from_config({**DEFAULTS, **changed})


def test_options_of_embedding_have_the_defaults_of_the_configuration():
    assert EmbeddingOptions() == options()


def test_each_option_is_that_of_the_configuration():
    """Also those that the fingerprint does not tell apart with the others at their defaults."""
    changed = EmbeddingOptions(
        ("matrix", "contacts"), 3, True, False, 9, "left", 100, False, "centered", "bfloat16", "float16"
    )
    assert not [name for name, value in asdict(EmbeddingOptions()).items() if getattr(changed, name) == value]
    assert options(**asdict(changed)) == changed


@given(st.permutations(["mean", "max", "cls", "matrix"]))
def test_the_order_of_outputs_does_not_matter(outputs):
    assert options(outputs=outputs) == options(outputs=["mean", "max", "cls", "matrix"])


@pytest.mark.parametrize(
    ("changed", "matters"),
    [
        ({"layer": 3}, True),
        ({"outputs": ["mean", "max"]}, True),
        ({"precision": "bfloat16"}, True),
        ({"dtype": "float16"}, True),
        ({"embedding_complete": False}, True),
        ({"truncation_seq_length": 9}, False),
        ({"trunc_type": "left"}, False),
        ({"matrix_add_special_token": True}, False),
        ({"contacts_max_length": 9}, False),
        ({"embedding_fixed_len_a_time": 100}, True),
        ({"embedding_complete_seg_overlap": False}, False),
        ({"stitching": "centered"}, False),
    ],
)
def test_what_the_fingerprint_depends_on(changed, matters):
    assert (options(**changed).fingerprint("c") != options().fingerprint("c")) == matters
    assert options().fingerprint("c") != options().fingerprint("d")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"trunc_type": "left"}, {"trunc_type": "right"}, False),
        ({"embedding_complete_seg_overlap": False}, {}, False),
        ({"stitching": "centered"}, {}, False),
        ({"stitching": "centered", "trunc_type": "left"}, {"stitching": "centered"}, True),
        ({"truncation_seq_length": 7}, {}, True),
        ({"embedding_complete": False, "truncation_seq_length": 7}, {"embedding_complete": False}, True),
    ],
)
def test_what_matters_for_windows(one, other, same):
    window = {"embedding_fixed_len_a_time": 100}
    assert (options(**window, **one).fingerprint("c") == options(**window, **other).fingerprint("c")) == same


def test_windows_that_are_too_short():
    with pytest.raises(ConfigError, match=r"embedding\.embedding_fixed_len_a_time is 1, expected at least 2"):
        options(embedding_fixed_len_a_time=1)


def test_a_layer_that_the_checkpoint_does_not_have():
    options(layer=6).require_layer(6)
    with pytest.raises(ConfigError, match=r"embedding\.layer is 7, but this checkpoint has layers 0 to 6"):
        options(layer=7).require_layer(6)
