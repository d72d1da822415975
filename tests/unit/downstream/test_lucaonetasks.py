"""The structure of downstream models, and the names of their classes, by LucaOneTasks' files."""

import json
import math
from pathlib import Path

import pytest
import torch

from lucaflow.checkpoints.state_dicts import published_shapes, shapes_of
from lucaflow.downstream.lucaonetasks import Task, check_outputs, labels_of, renamed, structure_of
from lucaflow.downstream.networks import Head
from lucaflow.errors import CheckpointError

REAL = json.loads((Path(__file__).parents[2] / "golden/downstream/real_state_dicts.json").read_text())
NETWORK = {"LucaBase": "luca_base", "LucaPPI": "lucappi", "LucaPPI2": "lucappi2"}


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
    assert published_shapes(shapes_of(head.state_dict())) == shapes
    assert sum(math.prod(parameter.shape) for parameter in head.parameters()) == real["n_params"]
    if structure.encoder:
        assert (structure.encoder.width, structure.encoder.heads) == (1024, real["config"]["num_attention_heads"])


@pytest.mark.parametrize("width", [33, 10**15])
def test_a_width_that_only_the_next_layer_confirms(width):
    """A pooling without parameters, and no layers before the classifier."""
    shapes = {"hidden_layer.weight": (10, 32), "classifier.weight": (3, 10)}
    config = {"embedding_input_size": width}
    with pytest.raises(
        ValueError, match=rf"embedding_input_size is {width}, but hidden_layer.weight has shape \(10, 32"
    ):
        structure_of(shapes, a_task(), {}, config)
    assert structure_of(shapes, a_task(), {}, {"embedding_input_size": 32}).inputs == (32,)


@pytest.mark.parametrize("shape", [(), (0,), (5,)])
def test_frequencies_that_fit_no_heads(shape):
    encoder = "towers.0.encoder."
    shapes = {"hidden_layer.weight": (10, 24), "classifier.weight": (3, 10), f"{encoder}embeddings.weight": (24, 32)}
    shapes |= {f"{encoder}layers.0.fc1.weight": (40, 24), f"{encoder}layers.0.self_attn.rot_emb.inv_freq": shape}
    with pytest.raises(ValueError, match=r"inv_freq has shape \("):
        structure_of(shapes, a_task(), {}, {})


def test_a_number_without_end_in_a_name():
    name = f"linear.{'9' * 5000}.0.weight"
    assert renamed([name]) == {name: f"towers.0.connected.{'9' * 5000}.0.weight"}


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
    with pytest.raises(ValueError, match="expected a header and 3 class names, as many as the network has"):
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
