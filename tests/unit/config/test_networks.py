"""What a plan knows of networks in directories on this disk, and what it refuses before anything is converted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from golden_cases import PACKAGED
from safetensors.torch import load_file, save_file

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import encoder_source
from lucaflow.checkpoints.known_models import FAMILIES as KNOWN_FAMILIES
from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import read_datasets
from lucaflow.config.networks import problems_of_networks
from lucaflow.config.resolve import resolve
from lucaflow.encoders.families import FAMILIES
from lucaflow.schemas import read_yaml

SCHEMAS = Path(__file__).parents[3] / "config/schemas"
DIRECTORIES = PACKAGED / "encoders/checkpoints"
ESM, DNABERT = DIRECTORIES / "E1", DIRECTORIES / "D1"
LUCAONE = PACKAGED / "language_model/checkpoints/L2-hf"


def problems(tmp_path, path, seq_type="prot", version="ours", **sections):
    """Return the problems of one dataset that a model in a directory, or in several by name, embeds."""
    config = {"model": {"llm_version": version}, **sections}
    config["checkpoints"] = {"path": path if isinstance(path, dict) else {version: str(path)}}
    config["checkpoints"]["directory"] = str(tmp_path / "checkpoints")
    resolved = resolve(config, read_yaml(SCHEMAS / "config.schema.yaml"))
    table = tmp_path / "d.tsv"
    table.write_text(f"dataset\tpath\tseq_type\nd\td.fasta\t{seq_type}\n")
    datasets = read_datasets(table, read_yaml(SCHEMAS / "datasets.schema.yaml"), resolved)
    return [*problems_of_networks(datasets.values(), resolved)]


def copy_of(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "published"))


def test_families_as_a_plan_knows_them_are_those_of_the_networks():
    assert [*KNOWN_FAMILIES] == [*FAMILIES]
    for name, known in KNOWN_FAMILIES.items():
        assert known.title == FAMILIES[name].title
        assert ((known.model_type,) if known.model_type else ()) == FAMILIES[name].model_types
        if not known.byte_pairs:
            assert set(known.seq_types) == set(FAMILIES[name].vocabulary.seq_types)


@pytest.mark.parametrize(
    ("folder", "seq_type", "reader"),
    [(ESM, "gene", "only prot sequences, not gene"), (DNABERT, "prot", "only gene sequences, not prot")],
    ids=["ESM-2", "DNABERT-2"],
)
def test_sequences_of_the_other_type(tmp_path, folder, seq_type, reader):
    (said,) = problems(tmp_path, folder, seq_type)
    assert f"dataset d: ours reads {reader} ({folder / 'config.json'} describes" in said
    assert "use `lucaone`" in said


def test_each_type_by_the_network_that_reads_it(tmp_path):
    assert problems(tmp_path, ESM) == problems(tmp_path, DNABERT, "gene") == []
    assert problems(tmp_path, LUCAONE) == problems(tmp_path, LUCAONE, "gene") == []


@pytest.mark.parametrize(
    ("folder", "seq_type", "sections", "said"),
    [
        (LUCAONE, "prot", {"embedding": {"outputs": ["contacts"]}}, "trained contact head, and ours has none"),
        (DNABERT, "gene", {"embedding": {"embedding_fixed_len_a_time": 9}}, "but a row of `ours` covers several"),
        (DNABERT, "gene", {"embedding": {"outputs": ["matrix"]}, "export": ["by_id"]}, "no place for `spans`"),
        (ESM, "prot", {"embedding": {"layer": 3}}, "it is 3, but `ours` has layers 0 to 2"),
    ],
)
def test_what_a_network_does_not_give(tmp_path, folder, seq_type, sections, said):
    (found,) = problems(tmp_path, folder, seq_type, **sections)
    assert said in found


def test_a_known_name_with_another_network_in_its_directory(tmp_path):
    (said,) = problems(tmp_path, DNABERT, version="esm2_t6_8M_UR50D")
    assert "describes a DNABERT-2 model, but esm2_t6_8M_UR50D is an ESM-2" in said
    (said,) = problems(tmp_path, {"lucaone-36000000": str(ESM)}, version="lucaone")
    assert "describes an ESM-2 model, but lucaone-36000000 is a LucaOne" in said


def test_missing_files_are_all_named_at_the_start(tmp_path):
    half = copy_of(DIRECTORIES / "E2-sharded", tmp_path)
    (half / "model-00003-of-00007.safetensors").unlink()
    pointer = Path(shutil.copytree(ESM, tmp_path / "pointer"))
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    wrong = {"half": half, "nowhere": tmp_path / "nowhere", "empty": tmp_path, "pointer": pointer, "file": __file__}
    found = problems(tmp_path, {name: str(path) for name, path in wrong.items()}, version=",".join(wrong))
    assert [said.split(":")[1].strip() for said in found] == [f"checkpoint {name}" for name in wrong]
    assert "no model-00003-of-00007.safetensors in" in found[0]
    assert "there is no directory" in found[1]
    assert "no weights in" in found[2]
    assert "of model.safetensors in" in found[3] and "Run `git lfs pull` there" in found[3]
    assert "test_networks.py is a file, not a directory" in found[4]


def test_contacts_of_a_network_whose_head_is_gone(tmp_path):
    published = copy_of(ESM, tmp_path)
    weights = published / "model.safetensors"
    state = load_file(weights)
    contacts = {"embedding": {"outputs": ["contacts"]}}
    assert problems(tmp_path, published, **contacts) == []
    save_file({name: value for name, value in state.items() if "contact_head" not in name}, weights)
    (said,) = problems(tmp_path, published, **contacts)
    assert "the directory of ours has no contact head" in said
    torch.save(state, published / "pytorch_model.bin")
    weights.unlink()
    assert problems(tmp_path, published, **contacts) == [], "a pickle is not opened to plan"


def test_a_conversion_is_enough_while_its_directory_is_out_of_reach(tmp_path):
    published = copy_of(ESM, tmp_path)
    settings = {"directory": str(tmp_path / "checkpoints"), "path": {"ours": str(published)}, "source": "huggingface"}
    source = encoder_source(Model("ours", None), settings, Path())
    convert(source.located(), source.folder)
    shutil.rmtree(published)
    assert problems(tmp_path, published) == []
    (said,) = problems(tmp_path, published, "gene")
    assert f"{source.folder / 'checkpoint.json'} describes an ESM-2 model" in said


def test_a_damaged_config_is_left_to_the_conversion_which_says_more(tmp_path):
    published = copy_of(ESM, tmp_path)
    (published / "config.json").write_text("{")
    assert problems(tmp_path, published, "gene") == []
    (published / "config.json").write_text(json.dumps([]))
    assert problems(tmp_path, published) == []
