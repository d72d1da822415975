"""What the files of a trained model say, and what follows from it."""

import json
import math
from pathlib import Path

import pytest
import torch

from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.state_dicts import published_shapes
from lucaflow.downstream.conversion import read_arguments
from lucaflow.downstream.inputs import reading_of
from lucaflow.downstream.lucaonetasks import Task, check_outputs, labels_of, renamed, structure_of
from lucaflow.downstream.networks import Head
from lucaflow.errors import CheckpointError

DOWNSTREAM = Path(__file__).parents[2] / "golden" / "downstream"
REAL = json.loads((DOWNSTREAM / "real_state_dicts.json").read_text())
NETWORK = {"LucaBase": "luca_base", "LucaPPI": "lucappi", "LucaPPI2": "lucappi2"}
OLD = "../llm/models/lucagplm/v2.0/token_level,span_level/lucaone_gplm/20231125113045/checkpoint-step5600000"
LENGTHS = {"seq_max_length": 1502, "matrix_max_length": 1502}


def a_task(model_type="luca_base", dataset_type="gene", task_type="multi_class") -> Task:
    return Task("T", dataset_type, task_type, model_type, "20240101000000", "1")


@pytest.mark.parametrize("name", REAL)
def test_the_published_models_are_understood_at_their_real_size(name):
    """From names and shapes alone: the structure, and as many parameters as LucaOneTasks counts."""
    real = REAL[name]
    ours = renamed(real["state_dict"])
    shapes = {ours[key]: tuple(shape) for key, shape in real["state_dict"].items() if key in ours}
    task_type = "binary_class" if real["args"]["sigmoid"] else "multi_class"
    structure = structure_of(shapes, a_task(NETWORK[real["cls"]], task_type=task_type), real["args"], real["config"])
    with torch.device("meta"):
        head = Head(structure)
    assert published_shapes(head.state_dict()) == shapes
    assert sum(math.prod(parameter.shape) for parameter in head.parameters()) == real["n_params"]
    if structure.encoder:
        assert (structure.encoder.width, structure.encoder.heads) == (1024, real["config"]["num_attention_heads"])


@pytest.mark.parametrize(
    ("name", "embedded", "rows"),
    [
        ("SupKTax", 4094, 4094), ("GenusTax", 4094, 4094), ("ProtLoc", 5627, 5627), ("ProtStab", 4094, 4094),
        ("InfA", 4094, 4094), ("PPI", 4094, 4094), ("CentralDogma", 10240, 4094), ("ncRPI", 10240, 4094),
    ],
)  # fmt: skip
def test_how_much_of_a_sequence_counts(name, embedded, rows):
    reading = reading_of({**REAL[name]["args"], "llm_dirpath": OLD}, REAL[name]["config"])
    assert reading.model == Model("lucaone", 5600000)
    assert reading.residues_embedded(4096) == embedded
    assert reading.rows_read(4096) == rows


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
    assert reading_of({**LENGTHS, **arguments}, {}).model == model


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"llm_dirpath": "../esm2"}, r"it was trained on \.\./esm2, which is no checkpoint of LucaOne's known here"),
        ({}, "which checkpoint it was trained on is not stated: llm_dirpath is None"),
        ({"llm_version": "esm2", "llm_step": "1"}, "trained on esm2-1, which is no checkpoint of LucaOne's"),
        ({"llm_dirpath": OLD, "input_type": "seq"}, "input_type is 'seq'"),
        ({"llm_dirpath": OLD, "embedding_fixed_len_a_time": 1024}, "embeddings in windows"),
        ({"llm_dirpath": OLD, "not_prepend_bos": True}, "not_prepend_bos and not_append_eos differ"),
        ({"llm_dirpath": OLD, "seq_max_length": None}, "neither its arguments nor config.json state seq_max_length"),
    ],
)
def test_a_way_of_reading_that_cannot_be_followed(arguments, words):
    with pytest.raises(ValueError, match=words):
        reading_of({**LENGTHS, **arguments}, {})


def test_lengths_of_two_sides_count_as_the_longer():
    arguments = {"seq_max_length_a": 2460, "seq_max_length_b": 620, "matrix_max_length_a": 3000, "llm_dirpath": OLD}
    reading = reading_of(arguments, {"matrix_max_length": 9999})
    assert (reading.longest_sequence, reading.longest_matrix) == (2460, 3000)
    assert (reading.residues_embedded(100), reading.rows_read(100)) == (2458, 2998)


@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_arguments_stand_at_the_beginning_of_the_log(tmp_path, indent):
    log = tmp_path / "logs.txt"
    log.write_text(json.dumps({"llm_step": "5600000", "x": [1]}, indent=indent) + "\n####\nn_gpu: 0\n{not json}\n")
    assert read_arguments(log) == {"llm_step": "5600000", "x": [1]}
    log.write_text("n_gpu: 0\n")
    with pytest.raises(CheckpointError, match=r"logs\.txt does not begin with the arguments of training as JSON"):
        read_arguments(log)


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["label", "a", "b", "c"], ("a", "b", "c")),
        # D6: LucaOneTasks' prediction drops the first line, whatever it is; its training counts these three classes.
        (["a", "b", "c"], ("a", "b", "c")),
        (["Label", "b", "c"], ("Label", "b", "c")),
        (["name", "a", "b", "c"], ("a", "b", "c")),
        (["label", "a", "b", "c", ""], ("a", "b", "c")),
    ],
)
def test_d6_names_of_classes(lines, names):
    assert labels_of(lines, "multi_class", 3) == names


@pytest.mark.parametrize("lines", [["label", "a", "b"], ["a", "b"], ["label", "a", "b", "c", "d"], []])
def test_names_that_do_not_fit_the_network(lines):
    with pytest.raises(ValueError, match="expected a header and 3 names of classes, as the network has"):
        labels_of(lines, "multi_class", 3)


def test_names_of_a_binary_task_and_of_a_regression():
    assert labels_of(["label", "no", "yes"], "binary_class", 1) == ("no", "yes")
    assert labels_of(["label", "0"], "regression", 1) == ()
    with pytest.raises(CheckpointError, match="is a regression, but its classifier has 3 outputs"):
        check_outputs(type("S", (), {"outputs": 3}), a_task(task_type="regression"))


@pytest.mark.parametrize(
    ("model_type", "dataset_type", "types"),
    [
        ("luca_base", "gene", ("gene",)),
        ("luca_base", "protein", ("prot",)),
        ("lucappi", "protein", ("prot", "prot")),
        ("lucappi", "gene_gene", ("gene", "gene")),
        ("lucappi2", "gene_protein", ("gene", "prot")),
    ],
)
def test_what_a_task_reads(model_type, dataset_type, types):
    assert a_task(model_type, dataset_type).seq_types == types
