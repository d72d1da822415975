"""The head of the language model: a file of its own, which changes nothing of what was there before."""

from __future__ import annotations

import json
import logging
import shutil

import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import load_file, save_file

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.conversion_job import convert_in_this_process, convert_once
from lucaflow.checkpoints.converted_checkpoint import (
    CHECKPOINT_RECORD,
    HEAD_ENTRY,
    HEAD_NAME,
    MODEL_NAME,
    EncoderSource,
    lacks_head,
    read_record,
)
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder, load_language_model_head
from lucaflow.checkpoints.model import Model
from lucaflow.errors import CheckpointError
from lucaflow.files.sealed import sealed
from lucaflow.files.writing import write_json

PUBLISHED = PACKAGED / "language_model/checkpoints"
OURS = Model("ours", None)


def change_tensors(folder, changed):
    """Write other tensors into a copy of a Hugging Face directory. changed: a function of the tensors by name."""
    copy = shutil.copytree(PUBLISHED / "L2-hf", folder)
    save_file(changed(load_file(copy / "model.safetensors")), copy / "model.safetensors")
    return copy


def forget_head(folder):
    """Make a converted folder what earlier versions of LucaFlow wrote."""
    (folder / HEAD_NAME).unlink()
    record = {key: value for key, value in read_record(folder).items() if key != HEAD_ENTRY}
    write_json(folder / CHECKPOINT_RECORD, sealed({**record, "left_out": ["lm_head"]}))


@pytest.fixture
def source(tmp_path):
    root = shutil.copytree(PUBLISHED / "L2-hf", tmp_path / "published")
    return EncoderSource("local", root, tmp_path / "converted", OURS, None, True)


def test_it_changes_no_fingerprint(tmp_path):
    """Networks that differ in their heads alone have one digest, as without a head; their heads have others."""
    found = {}
    for name, changed in {
        "as it is": dict,
        "another": lambda state: {**state, "lm_head.bias": state["lm_head.bias"] + 1},
        "none": lambda state: {key: value for key, value in state.items() if not key.startswith("lm_head.")},
    }.items():
        folder = tmp_path / name
        found[name] = convert(locate(change_tensors(tmp_path / f"published {name}", changed), OURS), folder)
    assert len({record["network_sha256"] for record in found.values()}) == 1
    assert len({record["model"]["sha256"] for record in found.values()}) == 1
    assert len({record[HEAD_ENTRY].get("head_sha256") for record in found.values()}) == 3


def test_a_folder_converted_earlier_gets_it_added(source, caplog):
    convert_once(source, convert_in_this_process)
    before, model = read_record(source.folder), source.folder / MODEL_NAME
    forget_head(source.folder)
    assert lacks_head(source.folder)
    load_encoder(source.folder)
    with pytest.raises(CheckpointError, match="by an earlier version of LucaFlow, which left out the head"):
        load_language_model_head(source.folder)
    written = model.stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        convert_once(source, convert_in_this_process)
    assert "an earlier version of LucaFlow left it out" in caplog.text
    assert "added language_model_head.safetensors" in caplog.text
    assert read_record(source.folder) == before
    assert model.stat().st_mtime_ns == written
    assert not lacks_head(source.folder)
    convert_once(source, lambda *_: pytest.fail("it is converted again"))


def test_a_damaged_head_is_refused_and_made_again(source):
    convert_once(source, convert_in_this_process)
    path = source.folder / HEAD_NAME
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"language_model_head\.safetensors is missing or damaged"):
        load_language_model_head(source.folder)
    load_encoder(source.folder)
    assert lacks_head(source.folder, read=True)
    convert_once(source, convert_in_this_process)
    load_language_model_head(source.folder)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            lambda state: {key: value for key, value in state.items() if not key.startswith("lm_head.")},
            "the published files hold no head of a language model",
        ),
        (
            lambda state: {key: value for key, value in state.items() if not key.startswith("lm_head.dense")},
            r"is another one: dense\.weight is missing",
        ),
        (lambda state: {**state, "lm_head.extra": torch.ones(2)}, "is another one: extra is not part of the network"),
        (
            lambda state: {**state, "lm_head.dense.bias": state["lm_head.dense.bias"] / 0},
            r"holds values that are not finite: dense\.bias",
        ),
        (
            lambda state: {**state, "lm_head.weight": state["lm_head.decoder.weight"] + 1},
            r"hold decoder\.weight of the language model's head twice, with other values",
        ),
    ],
    ids=["none", "part", "more", "not finite", "two"],
)
def test_what_is_no_head_is_named_where_scores_are_asked_for(tmp_path, changed, reason):
    """It embeds all the same."""
    convert(locate(change_tensors(tmp_path / "published", changed), OURS), tmp_path / "converted")
    load_encoder(tmp_path / "converted")
    assert not lacks_head(tmp_path / "converted")
    with pytest.raises(CheckpointError, match=rf"gives no scores of a language model: .*{reason}"):
        load_language_model_head(tmp_path / "converted")


def test_an_output_matrix_of_its_own_is_used(tmp_path):
    """Without one, the table of tokens is."""
    untied = load_file(PUBLISHED / "L1-hf-untied/model.safetensors")
    tied = change_tensors(tmp_path / "tied", lambda state: {k: v for k, v in state.items() if "decoder" not in k})
    matrices = {}
    for name, folder in {"untied": PUBLISHED / "L1-hf-untied", "tied": tied}.items():
        convert(locate(folder, OURS), tmp_path / "converted" / name)
        matrices[name] = load_language_model_head(tmp_path / "converted" / name).decoder.weight
    assert torch.equal(matrices["untied"], untied["lm_head.decoder.weight"])
    assert not torch.equal(matrices["untied"], untied["lucaone.embeddings.embed_tokens.weight"])
    published = load_file(tied / "model.safetensors")
    assert torch.equal(matrices["tied"], published["lucaone.embeddings.embed_tokens.weight"])


def test_the_record_is_what_the_job_reads(source):
    convert_once(source, convert_in_this_process)
    record = json.loads((source.folder / CHECKPOINT_RECORD).read_text())
    assert record[HEAD_ENTRY]["bytes"] == (source.folder / HEAD_NAME).stat().st_size
    assert record["left_out"] == []
