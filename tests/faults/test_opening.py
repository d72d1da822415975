"""Files that are no checkpoint, by accident or on purpose: refused by name, and nothing in them runs."""

from __future__ import annotations

import io
import json
import math
import pickle
import random
import resource
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from golden_cases import PACKAGED

from lucaflow.checkpoints import conversion_job
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.conversion_job import convert_in_subprocess
from lucaflow.checkpoints.converted_checkpoint import EncoderSource, is_converted, read_record
from lucaflow.checkpoints.layouts import Origin, locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.state_dicts import read_tensors
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.errors import CheckpointError

MODEL = Model("lucaone", 36000000)
T1 = PACKAGED / "embedding/checkpoints/T1"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def hostile_archive(path: Path, mark: Path) -> None:
    torch.save({"embed_tokens.weight": Touch(mark)}, path)


def hostile_old_format(path: Path, mark: Path) -> None:
    torch.save({"embed_tokens.weight": Touch(mark)}, path, _use_new_zipfile_serialization=False)


def hostile_bare_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(mark)))


def hostile_code_in_archive(path: Path, mark: Path) -> None:
    """What torch takes for a TorchScript module."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/constants.pkl", pickle.dumps(Touch(mark)))
        archive.writestr("archive/data.pkl", pickle.dumps(Touch(mark)))
        archive.writestr("archive/code/__torch__.py", f"open({str(mark)!r}, 'w')\n")


def whole_module(path: Path, _: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)


HOSTILE = [hostile_archive, hostile_old_format, hostile_bare_pickle, hostile_code_in_archive, whole_module]


@pytest.mark.parametrize("write", HOSTILE, ids=lambda write: write.__name__)
def test_a_pickle_that_would_do_something(tmp_path, write):
    mark = tmp_path / "mark"
    path = tmp_path / "pytorch.pth"
    write(path, mark)
    mark.unlink(missing_ok=True)
    origin = Origin(MODEL, "lucaone", T1 / "llm/models/lucaone/lucaone/checkpoint-step36000000/config.json", (path,))
    with pytest.raises(CheckpointError, match="no code in it was run"):
        convert_in_subprocess(EncoderSource.converter, origin, tmp_path / "out")
    assert not mark.exists()
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.safetensors"))


def test_the_hostile_ones_would_do_it(tmp_path):
    """Torch's unrestricted loader runs them: the test above can fail."""
    mark = tmp_path / "mark"
    hostile_archive(tmp_path / "pytorch.pth", mark)
    torch.load(tmp_path / "pytorch.pth", weights_only=False)
    assert mark.exists()


def test_an_archive_that_would_grow(tmp_path):
    path = tmp_path / "pytorch.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(300_000_000))
    assert path.stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"would become 300 MB.*No code in it was run"):
        read_tensors(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_an_archive_whose_members_share_their_bytes(tmp_path):
    """The directory names the same stored bytes many times."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(1_000_000))
        archive.filelist += [archive.filelist[-1]] * 500
    path = tmp_path / "pytorch.pth"
    path.write_bytes(file.getvalue())
    with pytest.raises(CheckpointError, match="501 MB"):
        read_tensors(path)


def test_a_process_that_takes_too_much_memory_is_ended_and_named(tmp_path, monkeypatch):
    """The bound is put below what the process has already."""
    monkeypatch.setattr(conversion_job, "_MEMORY_OF_TORCH", 50_000_000)
    with pytest.raises(CheckpointError, match=r"the process that read pytorch.pth in .* was ended .* memory"):
        convert_in_subprocess(EncoderSource.converter, locate(T1, MODEL), tmp_path)


HEADER = {"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def lying(**changed) -> bytes:
    header = json.dumps({"x": {**HEADER["x"], **changed}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        lying(shape=[2, 3]),
        lying(data_offsets=[0, 1 << 40]),
        lying(data_offsets=[16, 0]),
        lying(shape=[1 << 62, 1 << 62]),
        lying(dtype="F128"),
        lying(data_offsets=[0, 8]),
        lying()[:-1],
        lying() + b"more",
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        b"",
        b"\x00" * 7,
    ],
    ids=[
        "shape", "offset beyond the file", "offsets reversed", "overflow", "type", "bytes nobody owns", "cut short",
        "too long", "endless header", "no table", "empty", "no header",
    ],
)  # fmt: skip
def test_a_safetensors_header_that_lies(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged.*no code in it was run"):
        read_tensors(path)


NO_SCALES = (math.nan, math.inf, 0, -1.0, 10**400, 1e300, 1e-300)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"num_hidden_layers": 10**9}, r"num_hidden_layers is 1000000000, but the weights hold 2 layers"),
        ({"num_hidden_layers": 1}, r"num_hidden_layers is 1, but the weights hold 2"),
        ({"hidden_size": 10**30}, r"hidden_size is 10{30}, but embed_tokens.weight has shape \(39, 32\)"),
        ({"hidden_size": "32"}, r"does not describe a LucaOne model: hidden_size is '32'"),
        ({"hidden_size": -32}, r"hidden_size is -32, expected 1 or more"),
        ({"num_attention_heads": 0}, r"num_attention_heads is 0, expected 1 or more"),
        (
            {"num_attention_heads": 3},
            r"num_attention_heads is 3, but hidden_size 32 does not divide into so many heads",
        ),
        ({"num_attention_heads": 2}, r"num_attention_heads is 2, but .*inv_freq has shape \(4,\), as for 4 heads"),
        ({"use_embed_layer_norm": "no"}, r"use_embed_layer_norm is 'no'"),
        ({"max_position_embeddings": 10**15, "no_position_embeddings": False}, r"embed_pos.weight is missing"),
        ({"max_position_embeddings": -1, "no_position_embeddings": False}, r"embeddings is -1, expected 3 or more"),
        ({"type_vocab_size": 10**15}, r"type_vocab_size is 10{15}, but embed_type.weight has shape \(2, 32\)"),
        ({"type_vocab_size": 1}, r"type_vocab_size is 1, expected 2 or more"),
        *(({"embed_scale": value}, "embed_scale is .*, expected a positive number") for value in NO_SCALES),
    ],
    ids=str,
)
def test_wrong_architecture_numbers(tmp_path, monkeypatch, changed, words):
    """No network is built from them."""
    monkeypatch.setattr(LucaOne, "__init__", None)
    origin = locate(T1, MODEL)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**json.loads(origin.config.read_text()), **changed}))
    with pytest.raises(CheckpointError, match=rf"config.json .*{words}"):
        convert(Origin(MODEL, "lucaone", config, origin.weights), tmp_path / "out")


def changed_state(folder: Path, change) -> Origin:
    """A recorded checkpoint with something changed in its state dict."""
    origin = locate(T1, MODEL)
    state = torch.load(origin.weights[0], weights_only=True)
    change(state)
    torch.save(state, folder / "pytorch.pth")
    return Origin(MODEL, "lucaone", origin.config, (folder / "pytorch.pth",))


FC1 = "layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.update({FC1: state[FC1].to(torch.int8)}), f"{FC1} holds torch.int8"),
        (lambda state: state.update({FC1: state[FC1].to(torch.complex64)}), f"{FC1} holds torch.complex64"),
        (lambda state: state.update({FC1: state[FC1].to_sparse()}), f"{FC1} holds torch.float32 \\(torch.sparse_coo"),
        (lambda state: state.update({f"module.{FC1}": state[FC1]}), f"{FC1} occurs twice"),
        (lambda state: state.update({5: state[FC1]}), "is not a state dict"),
        (
            lambda state: state.update({"contact_head.regression.weight": torch.zeros(1, 3)}),
            "contact_head.regression.weight has shape",
        ),
        (lambda state: state.update({"contact_head.other": torch.zeros(3)}), "contact_head.other is not part of"),
        (lambda state: state.pop("contact_head.regression.bias", None), "contact_head.regression.bias is missing"),
    ],
    ids=["int8", "complex", "sparse", "twice", "integer key", "contact shape", "contact extra", "contact missing"],
)
def test_tensors_that_cannot_be_used(tmp_path, change, words):
    with pytest.raises(CheckpointError, match=words):
        convert(changed_state(tmp_path, change), tmp_path / "out")


def test_a_shape_that_is_larger_than_what_the_file_holds(tmp_path):
    """Torch saves one number for all values of such a tensor."""

    def expand(state):
        state["embed_tokens.weight"] = torch.zeros(1).expand(39, 10**12)

    with pytest.raises(CheckpointError, match=r"embed_tokens.weight has shape .* 156.0 TB, but the file holds 4 bytes"):
        convert(changed_state(tmp_path, expand), tmp_path / "out")


def test_parameters_are_tensors_too(tmp_path):
    def as_parameter(state):
        state[FC1] = torch.nn.Parameter(state[FC1])

    record = convert(changed_state(tmp_path, as_parameter), tmp_path / "out")
    assert record["model"] == convert(locate(T1, MODEL), tmp_path / "plain")["model"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_are_refused_by_name(tmp_path):
    """A few hundred files with a few bytes changed: read as tensors, or one kind of error."""
    content = locate(T1, MODEL).weights[0].read_bytes()
    old = io.BytesIO()
    torch.save(torch.load(io.BytesIO(content), weights_only=True), old, _use_new_zipfile_serialization=False)
    draw = random.Random(0)
    path = tmp_path / "pytorch.pth"
    refused = 0
    for original in (content, old.getvalue()):
        for _ in range(150):
            damaged = bytearray(original)
            for _ in range(draw.randint(1, 4)):
                # Headers and names are at the beginning and the end.
                place = draw.choice((draw.randrange(4000), len(damaged) - 1 - draw.randrange(4000)))
                damaged[place] = draw.randrange(256)
            path.write_bytes(damaged)
            try:
                read_tensors(path)
            except CheckpointError as error:
                refused += 1
                assert "pytorch.pth" in str(error)
            except MemoryError:
                refused += 1
    assert refused > 100


def test_a_flipped_byte_in_a_converted_checkpoint(tmp_path):
    convert(locate(T1, MODEL), tmp_path)
    assert is_converted(locate(T1, MODEL), tmp_path)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged: its SHA-256 is .* `snakemake verify`"):
        load_encoder(tmp_path)
    assert not is_converted(locate(T1, MODEL), tmp_path)


def test_a_conversion_in_another_process_is_the_same(tmp_path):
    origin = locate(T1, MODEL)
    apart, here = (
        convert_in_subprocess(EncoderSource.converter, origin, tmp_path / "a"),
        convert(origin, tmp_path / "b"),
    )
    assert apart["model"] == here["model"] == read_record(tmp_path / "a")["model"]
