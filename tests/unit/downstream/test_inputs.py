"""Which embedding a downstream model reads, and how much of it, by its training arguments."""

import json
from pathlib import Path

import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.downstream.inputs import head_input_of

REAL = json.loads((Path(__file__).parents[2] / "golden/downstream/real_state_dicts.json").read_text())
OLD = "../llm/models/lucagplm/v2.0/token_level,span_level/lucaone_gplm/20231125113045/checkpoint-step5600000"
LENGTHS = {"seq_max_length": 1502, "matrix_max_length": 1502}


@pytest.mark.parametrize(
    ("name", "embedded", "rows"),
    [
        ("SupKTax", 4094, 4094), ("GenusTax", 4094, 4094), ("ProtLoc", 5627, 5627), ("ProtStab", 4094, 4094),
        ("InfA", 4094, 4094), ("PPI", 4094, 4094), ("CentralDogma", 10240, 4094), ("ncRPI", 10240, 4094),
    ],
)  # fmt: skip
def test_how_much_of_a_sequence_counts(name, embedded, rows):
    head_input = head_input_of({**REAL[name]["args"], "llm_dirpath": OLD}, REAL[name]["config"])
    assert head_input.model == Model("lucaone", 5600000)
    assert head_input.residues_embedded(4096) == embedded
    assert head_input.rows_read(4096) == rows


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ({"llm_dirpath": OLD}, Model("lucaone", 5600000)),
        ({"llm_dirpath": "../llm/models/lucaone/lucaone/checkpoint-step36000000"}, Model("lucaone", 36000000)),
        ({"llm_dirpath": "/d/models/lucaone/lucaone-gene/checkpoint-step36800000/"}, Model("lucaone-gene", 36800000)),
        # D15: `--llm_version v2.0` leaves the path empty.
        ({"llm_dirpath": None, "llm_version": "v2.0", "llm_step": "17600000"}, Model("lucaone", 17600000)),
        ({"llm_version": "lucaone-prot", "llm_step": 30000000}, Model("lucaone-prot", 30000000)),
    ],
)  # fmt: skip
def test_which_checkpoint_a_model_was_trained_on(arguments, model):
    assert head_input_of({**LENGTHS, **arguments}, {}).model == model


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"llm_dirpath": "../esm2"},
            r"it was trained on \.\./esm2 \(llm_dirpath\), which is not a known checkpoint of LucaOne",
        ),
        ({}, "logs.txt does not state the checkpoint it was trained on: llm_dirpath is None"),
        ({"llm_version": "esm2", "llm_step": "1"}, "trained on esm2-1, which is not a known checkpoint of LucaOne"),
        ({"llm_dirpath": OLD, "input_type": "seq"}, "input_type is 'seq', expected `matrix`"),
        ({"llm_dirpath": OLD, "input_type": "vector"}, "or `vector` in a model that LucaFlow trained"),
        ({"llm_dirpath": OLD, "embedding_fixed_len_a_time": 1024}, "embeddings in windows"),
        ({"llm_dirpath": OLD, "not_prepend_bos": True}, "not_prepend_bos and not_append_eos differ"),
        ({"llm_dirpath": OLD, "seq_max_length": None}, "neither logs.txt nor config.json states seq_max_length"),
    ],
)
def test_a_way_of_reading_that_cannot_be_followed(arguments, words):
    with pytest.raises(ValueError, match=words):
        head_input_of({**LENGTHS, **arguments}, {})


def test_lengths_of_two_sides_count_as_the_longer():
    arguments = {"seq_max_length_a": 2460, "seq_max_length_b": 620, "matrix_max_length_a": 3000, "llm_dirpath": OLD}
    head_input = head_input_of(arguments, {"matrix_max_length": 9999})
    assert (head_input.longest_sequence, head_input.longest_matrix) == (2460, 3000)
    assert (head_input.residues_embedded(100), head_input.rows_read(100)) == (2458, 2998)
