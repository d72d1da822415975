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
import pandas as pd
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
    workflow.sequences = proteins(16)
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
    workflow.fasta("p.fasta", {**proteins(3), "sp|P1|A/B": "MKVLAW", "same": "mkvlaw"})
    workflow.write("g.csv", "id,label,sequence\n" + "".join(f"{k},x,{s}\n" for k, s in genes(4).items()))
    workflow.datasets(
        {"dataset": "p", "path": "p.fasta", "seq_type": "prot"},
        {"dataset": "g", "path": "g.csv", "seq_type": "gene", "label_column": "label"},
    )
    workflow.config["embedding"] = {"outputs": ["matrix", "mean", "max", "cls"], "matrix_add_special_token": True}
    run = workflow.run().succeeded()
    assert run.jobs["embed"] == 2
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
    saved = yaml.safe_load((workflow.directory / "results/g/run.yaml").read_text())
    assert saved["config"]["model"]["llm_version"] == "mini"
    assert json.loads(workflow.result("g", "verified.json").read_text())["records"] == 4
    (log,) = workflow.directory.glob("logs/embed/g/*/*/*.log")
    assert re.search(r"shard [0-9a-f]{16}: 100%.*residues/s, [\d.]+ MB of memory", log.read_text())
    for name in ("figures/map.png", "figures/map.html"):
        assert workflow.result("g", name).stat().st_size > 10_000
    assert NOTHING in workflow.run().succeeded().output


@pytest.mark.long
def test_one_more_sequence_runs_one_shard(small):
    shards = small.shared_run().jobs["embed"]
    assert shards >= 3
    before = means(small)
    small.fasta("p.fasta", {**small.sequences, "new": "MWWW"})
    assert small.run().succeeded().jobs["embed"] == 1
    after = means(small)
    assert len(after) == 17
    for identifier, vector in before.items():
        np.testing.assert_allclose(after[identifier], vector, atol=1e-5)


@pytest.mark.long
def test_another_size_of_shards_computes_nothing(small):
    small.shared_run()
    several = means(small)
    small.config["compute"]["shard_tokens"] = 20_000_000
    assert small.run().succeeded().jobs["embed"] == 1
    (shard,) = small.result("p", "shards").glob("*/*.h5")
    with h5py.File(shard) as file:
        assert file["taken_over"][:].all()
    assert all(np.array_equal(mean, several[identifier]) for identifier, mean in means(small).items())


@pytest.mark.long
def test_a_rename_embeds_nothing(small):
    small.shared_run()
    renamed = {f"{key}-renamed": sequence for key, sequence in reversed(small.sequences.items())}
    small.fasta("p.fasta", renamed)
    assert small.run().succeeded().jobs["embed"] == 0
    assert list(means(small)) == list(renamed)


@pytest.mark.long
@pytest.mark.parametrize("forget", [False, True], ids=["remembered", "forgotten"])
def test_an_option_changed_there_and_back(small, forget):
    small.shared_run()
    first = means(small)
    small.config["embedding"] = {"layer": 2}
    assert small.shared_run().jobs["embed"] >= 3
    assert np.abs(means(small)["p0"] - first["p0"]).max() > 0.1
    del small.config["embedding"]
    if forget:
        small.forget()
    back = small.run().succeeded()
    assert back.jobs["embed"] == 0
    assert back.jobs["assemble"] == 1
    second = means(small)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    assert NOTHING in small.run().succeeded().output


def test_older_embeddings_are_listed_and_removed_when_asked(small):
    small.shared_run()
    small.config["embedding"] = {"layer": 2}
    small.shared_run()
    (older,) = set(small.result("p", "shards").iterdir()) - {folder_of_results(small)}
    listed = small.run("older").succeeded().output
    assert str(older.relative_to(small.directory)) in listed
    assert str(folder_of_results(small).name) not in listed
    assert older.is_dir()
    small.run("remove_older").succeeded()
    assert [folder_of_results(small)] == list(small.result("p", "shards").iterdir())
    small.run("verify").succeeded()
    assert NOTHING in small.run().succeeded().output
    assert "There are no unused embeddings" in small.run("older").succeeded().output


def folder_of_results(workflow):
    """Return the folder of the shards that embeddings.h5 is made of."""
    with h5py.File(workflow.result("p", "embeddings.h5")) as file:
        return workflow.result("p", "shards") / file.attrs["fingerprint"][:12]


def test_truncation_is_recorded(small):
    small.config["embedding"] = {"embedding_complete": False, "truncation_seq_length": 10, "outputs": ["matrix"]}
    small.run().succeeded()
    with open_embeddings(small.result("p", "embeddings.h5")) as embeddings:
        embedded, lengths = embeddings.file["residues_embedded"][:], embeddings.file["lengths"][:]
        assert (embedded == np.minimum(lengths, 10)).all()
        assert embeddings["p0"].shape == (10, 128)
    assert json.loads(small.result("p", "verified.json").read_text())["truncated_sequences"] > 0


@pytest.mark.long
def test_values_do_not_depend_on_shards_or_batches(small):
    small.shared_run()
    first = means(small)
    small.config["compute"] = {"device": "cpu", "tokens_per_batch": 50}
    small.run().succeeded()
    second = means(small)
    assert len(list(small.result("p", "shards").glob("*/*.h5"))) == 1
    for key, vector in first.items():
        np.testing.assert_allclose(second[key], vector, atol=1e-5)


@pytest.mark.long
def test_a_deleted_shard_is_rebuilt(small):
    small.config["embedding"] = {"outputs": ["matrix"]}
    small.shared_run()
    shard = min(small.result("p", "shards").glob("*/*.h5"))
    content = shard.read_bytes()
    shard.unlink()
    assert small.run().succeeded().jobs["embed"] == 1
    assert shard.read_bytes() == content


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
def test_the_size_of_shards_changes_no_value(small):
    assert small.shared_run().jobs["embed"] > 2
    several = means(small)
    small.config["compute"]["shard_tokens"] = 20_000_000
    # Otherwise rows would be reused, and none computed.
    for shard in small.result("p", "shards").glob("*/*.h5"):
        shard.unlink()
    assert small.run().succeeded().jobs["embed"] == 1
    for identifier, mean in means(small).items():
        np.testing.assert_allclose(mean, several[identifier], atol=1e-5)


@pytest.mark.parametrize("output", ["matrix", "mean"])
def test_a_damaged_shard_does_not_pass_into_a_result(small, output):
    """The checksums within tell, where no digest was recorded yet."""
    small.config["embedding"] = {"outputs": [output]}
    small.shared_run()
    shard = min(small.result("p", "shards").glob("*/*.h5"))
    with open_hdf5(shard, "lucaflow-shard") as file:
        name = f"matrix/{file['digests'].asstr()[0]}" if output == "matrix" else output
        offset = file[name].id.get_offset()
    content = bytearray(shard.read_bytes())
    content[offset] ^= 1
    shard.write_bytes(content)
    for name in ("embeddings.h5", "verified.json"):
        small.result("p", name).unlink()
    small.run().failed(shard.name, "were removed; run again")
    assert small.run().succeeded().jobs["embed"] == 1


@pytest.mark.long
@pytest.mark.parametrize("forget", [False, True], ids=["remembered", "forgotten"])
def test_another_checkpoint_at_the_same_place(small, forget):
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
    if forget:
        small.forget()
    assert small.run().succeeded().jobs["embed"] >= 3
    second = means_of(small, "lucaone-36000000")
    recorded = yaml.safe_load((small.directory / "results/p/run.yaml").read_text())
    verified = json.loads(small.result("p", "verified.json", "lucaone-36000000").read_text())
    assert recorded["checkpoint"]["model"]["sha256"] == verified["checkpoint_sha256"]
    for key, vector in first.items():
        np.testing.assert_allclose(second[key], vector + 1, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("forget", [False, True], ids=["remembered", "forgotten"])
def test_an_older_file_with_other_sequences(small, forget):
    small.shared_run()
    small.fasta("p.fasta", {"only": "MKVLAW"})
    os.utime(small.directory / "p.fasta", (0, 0))
    if forget:
        small.forget()
    small.run().succeeded()
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
    small.run().failed("p.fasta: there is no such file", "An older result is still there")
    assert records.read_bytes() == before
    small.run("verify").succeeded()
    (small.directory / "q.fasta").rename(small.directory / "p.fasta")
    assert small.run().succeeded().jobs["embed"] == 0


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


def test_a_dataset_that_is_taken_out_leaves_the_summary(workflow):
    workflow.fasta("p.fasta", proteins(2))
    rows = [{"dataset": name, "path": "p.fasta", "seq_type": "prot"} for name in ("p", "NA")]
    workflow.datasets(*rows)
    assert re.search(r"NA +mini-1 +2 +0 +0 +0 +2 ", workflow.run().succeeded().output)
    workflow.datasets(rows[0])
    workflow.forget()
    assert not re.search(r"NA +mini-1", workflow.run().succeeded().output)
    assert len((workflow.directory / "results/summary.tsv").read_text().splitlines()) == 2


def test_windows(small):
    """A long sequence in pieces: marked as such, and the pooled vector is that of its matrix."""
    small.fasta("p.fasta", {"long": "MKVLAWRRKLAWQE" * 9, "short": "MKVLAW"})
    small.config["embedding"] = {
        "outputs": ["mean", "matrix"],
        "embedding_fixed_len_a_time": 20,
        "stitching": "centered",
    }
    small.run().succeeded()
    with open_embeddings(small.result("p", "embeddings.h5")) as embeddings:
        assert embeddings.file["windows"][:].tolist() == [12, 1]
        assert embeddings.file["residues_embedded"][:].tolist() == [126, 6]
        entry = embeddings["long"]
        assert entry["matrix"].shape == (126, 128)
        np.testing.assert_allclose(entry["mean"], entry["matrix"].mean(0), atol=1e-5)
    assert json.loads(small.result("p", "verified.json").read_text())["windowed_sequences"] == 1
    summary = pd.read_csv(small.directory / "results/summary.tsv", sep="\t")
    assert summary[["truncated", "windowed"]].to_numpy().tolist() == [[0, 1]]
