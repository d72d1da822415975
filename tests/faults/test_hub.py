"""Checkpoints from a Hugging Face Hub on loopback, through the whole workflow: fetched, converted, used offline."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import loopback
import pytest
import torch
from golden_cases import PACKAGED
from hub import COMMIT, Hub
from safetensors.torch import save_file

from lucaflow.checkpoints.fetched_record import SUMS_NAME, read_sums
from lucaflow.checkpoints.hub import needed_files

T1 = PACKAGED / "embedding/checkpoints/T1/llm/models/lucaone/lucaone/checkpoint-step36000000"
REPOSITORY = "LucaGroup/LucaOne-default-step36M"
FOLDER = "resources/checkpoints/published/lucaone-36000000-huggingface"
CONVERTED = "resources/checkpoints/lucaone-36000000-huggingface"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A recorded checkpoint as a repository of the Hub holds it."""
    path = tmp_path_factory.mktemp("hub") / "model.safetensors"
    state = torch.load(T1 / "pytorch.pth", weights_only=True)
    save_file({name: tensor.clone() for name, tensor in state.items()}, path)
    return {
        "README.md": b"# LucaOne\n",
        "config.json": (T1 / "config.json").read_bytes(),
        "model.safetensors": path.read_bytes(),
        "pytorch_model.bin": b"not needed",
    }


@pytest.fixture
def hub():
    with loopback.serving() as server:
        yield Hub(server, REPOSITORY)


@pytest.fixture
def protein(workflow):
    workflow.fasta("p.fasta", {"a": "MKVLAWRRKLAWMKVLAWRRK", "b": "MWWWKKLLR"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {"model": {"llm_version": "lucaone"}, "checkpoints": {}}
    return workflow


def run(workflow, hub, *arguments, **environment):
    endpoint = {"HF_ENDPOINT": hub.server.address, "HF_HUB_DISABLE_TELEMETRY": "1"}
    return workflow.run(*arguments, **endpoint, **environment)


def test_fetched_once_and_used_without_a_connection(protein, hub, published):
    hub.publish(published)
    fetched = run(protein, hub, "fetch").succeeded()
    assert re.search(r"model.safetensors: 100%.*B/s", fetched.output), fetched.output
    assert fetched.jobs == {"fetch_checkpoint": 1, "convert_checkpoint": 1}
    folder = protein.directory / FOLDER
    assert read_sums(folder)["model.safetensors"] == hashlib.sha256(published["model.safetensors"]).hexdigest()
    assert json.loads((folder / "fetched.json").read_text())["commit"] == COMMIT
    assert not (folder / "pytorch_model.bin").exists()
    hub.server.files.clear()
    asked = len(hub.server.asked)
    protein.run(HF_HUB_OFFLINE="1").succeeded()
    assert len(hub.server.asked) == asked
    assert protein.result("p", "verified.json", "lucaone-36000000").is_file()
    origin = json.loads((protein.directory / CONVERTED / "checkpoint.json").read_text())["origin"]
    assert set(origin) == {
        f"../published/lucaone-36000000-huggingface/{name}" for name in ("config.json", "model.safetensors")
    }


@pytest.mark.long
def test_a_moved_directory_serves_elsewhere_and_is_verified_there(protein, hub, published, tmp_path_factory):
    hub.publish(published)
    run(protein, hub, "fetch").succeeded()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "checkpoints"
    shutil.move(protein.directory / "resources/checkpoints", elsewhere)
    protein.forget()
    protein.config["checkpoints"] = {"directory": str(elsewhere)}
    moved = protein.run(HF_HUB_OFFLINE="1").succeeded()
    assert not moved.jobs["fetch_checkpoint"] + moved.jobs["convert_checkpoint"]
    weights = elsewhere / "lucaone-36000000-huggingface/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    protein.fasta("p.fasta", {"a": "MKVLAWRRKLAW", "b": "MWWWKKLLR"})
    protein.run(HF_HUB_OFFLINE="1").failed("model.safetensors is damaged: its SHA-256 is")
    protein.run("verify", HF_HUB_OFFLINE="1").failed("model.safetensors: its content has changed")
    again = protein.run(HF_HUB_OFFLINE="1").succeeded()
    assert again.jobs["convert_checkpoint"] == 1
    assert not again.jobs["fetch_checkpoint"]


def test_published_files_may_go_after_the_conversion(protein, hub, published):
    hub.publish(published)
    run(protein, hub, "fetch").succeeded()
    shutil.rmtree(protein.directory / "resources/checkpoints/published")
    done = protein.run(HF_HUB_OFFLINE="1").succeeded()
    assert not done.jobs["fetch_checkpoint"]
    protein.forget()
    assert not protein.run(HF_HUB_OFFLINE="1").succeeded().jobs


def test_a_flipped_byte_is_found_when_the_file_is_used_and_the_file_comes_again(protein, hub, published):
    hub.publish(published)
    run(protein, hub, "fetch").succeeded()
    weights = protein.directory / FOLDER / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    shutil.rmtree(protein.directory / CONVERTED)
    run(protein, hub, "fetch").failed("model.safetensors: its SHA-256 is", SUMS_NAME)
    hub.server.asked.clear()
    run(protein, hub, "fetch").succeeded()
    assert weights.read_bytes() == published["model.safetensors"]
    assert hub.asked_for("model.safetensors")
    assert not hub.asked_for("/main/config.json")


def test_a_digest_that_is_not_the_published_one(protein, hub, published):
    hub.publish(published, model="0" * 64)
    run(protein, hub, "fetch").failed("the Hub publishes " + "0" * 64)
    assert not (protein.directory / FOLDER / "model.safetensors").exists()


def test_the_connection_breaks_off_and_the_hub_is_busy(protein, hub, published):
    """Each file takes two requests; the weights are cut in the second of theirs."""
    hub.publish(published)
    good = [lambda answer, content: answer.give(content)]
    hub.server.faults = [loopback.status(503), *good, *good, loopback.cut(0.3)]
    run(protein, hub, "fetch").succeeded()
    assert not hub.server.faults
    assert hub.asked_for("model.safetensors") == 2


def test_a_login_page_instead_of_the_hub(protein, hub, published):
    hub.publish(published)
    hub.server.faults = [loopback.page("text/html")]
    failed = run(protein, hub, "fetch").failed("cannot be reached")
    assert "Traceback" not in failed.output
    hub.server.faults = [lambda answer, content: answer.give(content), loopback.page("text/html")]
    failed = run(protein, hub, "fetch").failed("config.json cannot be fetched now")
    assert "Traceback" not in failed.output


def test_a_pinned_revision_has_a_folder_of_its_own(protein, hub, published):
    hub.publish(published)
    protein.config["checkpoints"] = {"revision": COMMIT}
    run(protein, hub, "fetch", HF_TOKEN="hf_secret").succeeded()
    assert hub.server.tokens == {"Bearer hf_secret"}
    assert not (protein.directory / FOLDER).exists()
    assert len(list(protein.directory.glob(f"{FOLDER}-*/fetched.json"))) == 1
    protein.config["checkpoints"] = {"revision": "v2"}
    run(protein, hub, "fetch").failed("Correct checkpoints.revision")


def test_what_stands_in_the_way_is_said(protein, hub, published):
    run(protein, hub, "fetch", HF_HUB_OFFLINE="1").failed("HF_HUB_OFFLINE forbids fetching it", "`snakemake fetch`")
    run(protein, hub, "fetch").failed("there is no such repository")
    hub.publish({name: content for name, content in published.items() if name == "README.md"})
    run(protein, hub, "fetch").failed("holds no weights of lucaone-36000000. It holds: README.md")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (["config.json", "model.safetensors", "pytorch_model.bin"], ["config.json", "model.safetensors"]),
        (["config.json", "pytorch_model.bin", "training_args.bin"], ["config.json", "pytorch_model.bin"]),
        (
            ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"],
            ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json"],
        ),
        (["config.json", "README.md", "old/model.safetensors"], []),
        (
            ["config.json", "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json"],
            ["config.json", "pytorch_model.bin", "tokenizer.json"],
        ),
    ],
)
def test_which_files_of_a_repository_are_taken(names, taken):
    patterns = ["config.json", "tokenizer.json", "model*.safetensors*", "pytorch_model*.bin*"]
    assert needed_files(names, patterns) == taken
