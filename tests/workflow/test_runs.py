"""What runs and what does not: whole runs of the workflow on small inputs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil

import h5py
import numpy as np
import pytest
import torch
import yaml
from golden_cases import PACKAGED

from lucaflow import open_embeddings
from lucaflow.store.format import open_hdf5

NOTHING = "Nothing to be done"


def proteins(count: int, seed: int = 0) -> dict[str, str]:
    draw = random.Random(seed)
    return {f"p{i}": "M" + "".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=draw.randint(5, 40))) for i in range(count)}


def genes(count: int, seed: int = 0) -> dict[str, str]:
    draw = random.Random(seed)
    return {f"g{i}": "".join(draw.choices("ACGT", k=draw.randint(30, 60))) for i in range(count)}


@pytest.fixture
def small(workflow):
    """One dataset of proteins that needs several shards."""
    workflow.sequences = proteins(10)
    workflow.fasta("p.fasta", workflow.sequences)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config["compute"]["shard_tokens"] = 200
    return workflow


def means_of(workflow, model):
    with open_embeddings(workflow.result("p", "embeddings.h5", model)) as embeddings:
        return {identifier: embeddings[identifier].copy() for identifier in embeddings}


def means(workflow):
    return means_of(workflow, "mini-1")


def test_two_types_in_one_run_and_nothing_in_the_next(workflow):
    """A dataset may be called NA. One that is taken out of the table leaves the summary."""
    workflow.fasta("p.fasta", {**proteins(3), "sp|P1|A/B": "MKVLAW", "same": "mkvlaw"})
    workflow.write("g.csv", "id,label,sequence\n" + "".join(f"{k},x,{s}\n" for k, s in genes(4).items()))
    proteins_alone = {"dataset": "p", "path": "p.fasta", "seq_type": "prot"}
    workflow.datasets(proteins_alone, {"dataset": "NA", "path": "g.csv", "seq_type": "gene", "label_column": "label"})
    workflow.config["embedding"] = {"outputs": ["matrix", "mean", "max", "cls"], "matrix_add_special_token": True}
    run = workflow.run().succeeded()
    assert run.jobs["embed"] == 2
    assert re.search(r"NA +mini-1 +4 +0 +4 ", run.output)
    with open_embeddings(workflow.result("p", "embeddings.h5")) as embeddings:
        assert list(embeddings) == ["p0", "p1", "p2", "sp|P1|A/B", "same"]
        entry = embeddings["sp|P1|A/B"]
        assert {name: array.shape for name, array in entry.items()} == {
            "mean": (128,), "max": (128,), "cls": (128,), "matrix": (8, 128),
        }  # fmt: skip
        np.testing.assert_allclose(entry["mean"], entry["matrix"][1:-1].mean(0), atol=1e-6)
        np.testing.assert_array_equal(entry["max"], entry["matrix"][1:-1].max(0))
        np.testing.assert_array_equal(entry["cls"], entry["matrix"][0])
        assert len(embeddings.file["digests"]) == 4
        assert embeddings.file["digests"][3].decode() == hashlib.sha256(b"prot\nMKVLAW").hexdigest()
        assert embeddings.file["matrix/sp|P1|A%2FB"].shape == (8, 128)
    saved = yaml.safe_load((workflow.directory / "results/NA/run.yaml").read_text())
    assert saved["config"]["model"]["llm_version"] == "mini"
    assert json.loads(workflow.result("NA", "verified.json").read_text())["records"] == 4
    (log,) = workflow.directory.glob("logs/embed/NA/*/*/*.log")
    assert re.search(r"shard [0-9a-f]{16}: 100%.*residues/s, [\d.]+ MB of memory", log.read_text())
    for name in ("figures/map.png", "figures/map.html"):
        assert workflow.result("NA", name).stat().st_size > 10_000
    assert NOTHING in workflow.run().succeeded().output
    workflow.datasets(proteins_alone)
    assert not re.search(r"NA +mini-1", workflow.run().succeeded().output)
    assert len((workflow.directory / "results/summary.tsv").read_text().splitlines()) == 2


def test_a_damaged_shard_does_not_pass_into_a_result(small):
    """The checksums within tell, where no digest was recorded yet."""
    small.shared_run("embeddings")
    shard = min(small.result("p", "shards").glob("*/*.h5"))
    with open_hdf5(shard, "lucaflow-shard") as file:
        offset = file["mean"].id.get_offset()
    content = bytearray(shard.read_bytes())
    content[offset] ^= 1
    shard.write_bytes(content)
    for name in ("embeddings.h5", "verified.json"):
        small.result("p", name).unlink()
    small.run("embeddings").failed(shard.name, "were removed; run again")
    assert small.run("embeddings").succeeded().jobs["embed"] == 1


@pytest.mark.long
def test_an_option_changed_there_and_back(small):
    """The embeddings that it had are found; those of the other option are listed, and removed when asked."""
    small.shared_run()
    first, folder = means(small), folder_of_results(small)
    small.config["embedding"] = {"layer": 2}
    assert small.run().succeeded().jobs["embed"] >= 2
    assert np.abs(means(small)["p0"] - first["p0"]).max() > 0.1
    del small.config["embedding"]
    small.forget()
    back = small.run().succeeded()
    assert (back.jobs["embed"], back.jobs["assemble"]) == (0, 1)
    assert all(np.array_equal(first[key], vector) for key, vector in means(small).items())
    (older,) = set(small.result("p", "shards").iterdir()) - {folder}
    listed = small.run("older").succeeded().output
    assert str(older.relative_to(small.directory)) in listed
    assert folder.name not in listed
    assert older.is_dir()
    small.run("remove_older").succeeded()
    assert [folder] == list(small.result("p", "shards").iterdir())
    small.run("verify").succeeded()
    assert NOTHING in small.run().succeeded().output
    assert "There are no unused embeddings" in small.run("older").succeeded().output


def folder_of_results(workflow):
    """Return the folder of the shards that embeddings.h5 is made of."""
    with h5py.File(workflow.result("p", "embeddings.h5")) as file:
        return workflow.result("p", "shards") / file.attrs["fingerprint"][:12]


@pytest.mark.long
def test_values_do_not_depend_on_shards_or_batches(small):
    small.shared_run()
    several = means(small)
    small.config["compute"] = {"device": "cpu", "tokens_per_batch": 50}
    # Otherwise rows would be reused, and none computed.
    for shard in small.result("p", "shards").glob("*/*.h5"):
        shard.unlink()
    assert small.run("embeddings").succeeded().jobs["embed"] == 1
    for identifier, mean in means(small).items():
        np.testing.assert_allclose(mean, several[identifier], atol=1e-5)


@pytest.mark.long
def test_verify_names_what_is_damaged_and_the_next_run_rebuilds_it(small):
    small.config["embedding"] = {"outputs": ["matrix"]}
    small.shared_run()
    small.run("verify").succeeded()
    shard = max(small.result("p", "shards").glob("*/*.h5"))
    content = shard.read_bytes()
    middle = len(content) // 2
    shard.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    small.run("verify").failed(shard.name)
    assert small.run().succeeded().jobs["embed"] == 1
    assert shard.read_bytes() == content
    small.run("verify").succeeded()


@pytest.mark.long
def test_another_checkpoint_at_the_same_place(small):
    """An older file with other weights is noticed, and one that was merely copied again changes nothing."""
    root = small.directory / "lucaone"
    shutil.copytree(PACKAGED / "embedding/checkpoints/T1", root)
    weights = next(root.rglob("pytorch.pth"))
    small.config |= {
        "checkpoints": {"source": "local", "path": "lucaone", "directory": "converted"},
        "model": {"llm_version": "lucaone"},
    }
    # Not a shared run: the folder of the converted checkpoint is named by the place of the published one.
    small.run().succeeded()
    first = means_of(small, "lucaone-36000000")
    weights.touch()
    assert NOTHING in small.run().succeeded().output
    state = torch.load(weights, weights_only=True)
    state["last_layer_norm.bias"] += 1
    torch.save(state, weights)
    os.utime(weights, (0, 0))
    small.forget()
    assert small.run().succeeded().jobs["embed"] >= 2
    second = means_of(small, "lucaone-36000000")
    recorded = yaml.safe_load((small.directory / "results/p/run.yaml").read_text())
    verified = json.loads(small.result("p", "verified.json", "lucaone-36000000").read_text())
    assert recorded["checkpoint"]["network_sha256"] == verified["checkpoint_sha256"]
    for key, vector in first.items():
        np.testing.assert_allclose(second[key], vector + 1, atol=1e-5)


@pytest.mark.long
def test_an_older_file_with_other_sequences(small):
    small.shared_run()
    small.fasta("p.fasta", {"only": "MKVLAW"})
    os.utime(small.directory / "p.fasta", (0, 0))
    small.forget()
    small.run("embeddings").succeeded()
    assert list(means(small)) == ["only"]


def test_what_is_there_stays_while_its_sources_are_out_of_reach(small):
    """The input and the published checkpoint are moved away: an error, and nothing lost."""
    shutil.copytree(PACKAGED / "embedding/checkpoints/T1", small.directory / "lucaone")
    small.config |= {
        "checkpoints": {"source": "local", "path": "lucaone", "directory": "converted"},
        "model": {"llm_version": "lucaone"},
    }
    small.shared_run()
    records = small.directory / "results/p/records.tsv"
    before = records.read_bytes()
    (small.directory / "lucaone").rename(small.directory / "elsewhere")
    assert NOTHING in small.run().succeeded().output
    (small.directory / "p.fasta").rename(small.directory / "q.fasta")
    small.run("embeddings").failed("p.fasta: there is no such file", "An older result is still there")
    assert records.read_bytes() == before
    (small.directory / "q.fasta").rename(small.directory / "p.fasta")
    assert small.run("embeddings").succeeded().jobs["embed"] == 0


def test_where_a_checkpoint_is_kept_does_not_matter(small):
    small.shared_run()
    small.config["checkpoints"] = {"directory": "of our own"}
    run = small.run().succeeded()
    assert (run.jobs["convert_checkpoint"], run.jobs["embed"], run.jobs["assemble"]) == (1, 0, 0)
    (model,) = small.directory.glob("of our own/*/model.safetensors")
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    small.run("verify").failed("model.safetensors: its content has changed")
    run = small.run().succeeded()
    assert (run.jobs["convert_checkpoint"], run.jobs["embed"]) == (1, 0)
