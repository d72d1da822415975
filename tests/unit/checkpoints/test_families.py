"""A family of encoders is one file and one row: here the file is the class `Toy`, the row its place in `FAMILIES`."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import lucaflow
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import read_record
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_contact_head, load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.encoders.families import FAMILIES
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.vocabulary import LETTERS, Vocabulary
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import CheckpointError, ConfigError
from lucaflow.records.sequences import NormalisedSequence

OURS = Model("ours", None)


@dataclass(frozen=True)
class ToyNumbers:
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int = 1
    longest_sequence: int | None = 50


class ToyBlock(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.dense = nn.Linear(size, size, bias=False)

    def forward(self, x):
        return x + torch.tanh(self.dense(x))


class Toy(Encoder):
    """A network that reads DNA, one letter after the other: a table, and blocks of one product each."""

    family = "toy"
    title = "a toy"
    vocabulary = Vocabulary(
        symbols=("^", "A", "C", "G", "T", "N", "$", "?"), first="^", last="$", mask="?",
        letters={"gene": {letter: letter if letter in "ACGT" else "N" for letter in LETTERS}}, token_types={"gene": 0},
    )  # fmt: skip
    architecture = ToyNumbers
    model_types = ("toy",)

    def __init__(self, config):
        super().__init__(config)
        self.table = nn.Parameter(torch.empty(len(self.vocabulary), config.hidden_size))
        self.layers = nn.ModuleList(ToyBlock(config.hidden_size) for _ in range(config.num_hidden_layers))

    config = property(lambda self: self._config)
    device = property(lambda self: self.table.device)
    arithmetic = property(lambda self: self.table.dtype)

    def forward(self, ids, _types, _lengths, layer=None, _on_attention=None):
        x = self.table[ids]  # (T, H)
        for block in self.layers[:layer]:
            x = block(x)
        return x

    @classmethod
    def config_of(cls, stated, _layout, _folder):
        if stated.get("alphabet") != "ACGTN":
            raise ValueError(f"alphabet is {stated.get('alphabet')!r}, expected 'ACGTN'")
        return ToyNumbers(stated["depth"], stated["width"])

    @classmethod
    def name_of_tensor(cls, published):
        return None if published.startswith("optimizer.") else published.replace("toy.blocks.", "layers.")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A directory in the toy's own form; the toy is a row of the table of families."""
    monkeypatch.setitem(FAMILIES, Toy.family, Toy)
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "toy", "alphabet": "ACGTN", "depth": 2, "width": 4}))
    torch.manual_seed(0)
    blocks = {f"toy.blocks.{number}.dense.weight": torch.randn(4, 4) for number in range(2)}
    save_file({"table": torch.randn(8, 4), **blocks, "optimizer.step": torch.ones(1)}, folder / "model.safetensors")
    return folder


def converted(published):
    folder = published.with_name("converted")
    convert(locate(published, OURS), folder)
    return folder


def change(published, **numbers):
    path = published / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **numbers}))


def test_it_is_converted_loaded_and_embeds(published):
    encoder = load_encoder(converted(published))
    torch.manual_seed(0)
    first, second = (torch.randn(4, 4).double().numpy() for _ in range(2))
    rows = torch.randn(8, 4).double().numpy()[[0, 3, 1, 4, 5, 6]]  # ^ G A T N $
    expected = rows + np.tanh(rows @ first.T)
    expected = expected + np.tanh(expected @ second.T)
    options = EmbeddingOptions(outputs=("matrix",), matrix_add_special_token=True)
    sequence = NormalisedSequence("0" * 64, "gene", "GATR")
    (found,) = Engine(encoder, options, torch.device("cpu"), 100).matrices([sequence])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(lucaflow.embed(encoder, "GATR", "dna", "matrix"), found[1:-1])


def test_what_it_has_not_is_refused(published):
    folder = converted(published)
    assert (read_record(folder)["family"], read_record(folder)["contact_head"]) == ("toy", False)
    with pytest.raises(CheckpointError, match="has no contact head"):
        load_contact_head(folder)
    with pytest.raises(ConfigError, match="this encoder reads only gene sequences, not prot"):
        lucaflow.embed(load_encoder(folder), "MKV", "prot")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"alphabet": "ACGU"}, "does not describe a toy model: alphabet is 'ACGU'"),
        ({"depth": 3}, "num_hidden_layers is 3, but the weights hold 2 layers"),
        ({"width": 5}, r"table has shape \(8, 4\), expected \(8, 5\)"),
        ({"model_type": "other"}, "does not describe a LucaOne model|does not fit its weights"),
    ],
    ids=str,
)
def test_other_directories_are_refused(published, changed, said):
    change(published, **changed)
    with pytest.raises(CheckpointError, match=said):
        converted(published)


def test_without_its_row_it_is_another_family(published, monkeypatch):
    folder = converted(published)
    monkeypatch.delitem(FAMILIES, Toy.family)
    with pytest.raises(CheckpointError, match="its family is 'toy', expected one of lucaone, esm2"):
        load_encoder(folder)
