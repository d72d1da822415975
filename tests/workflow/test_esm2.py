"""ESM-2 through the whole workflow: from a directory of its own, and from a Hub on loopback."""

from __future__ import annotations

import json

import loopback
import numpy as np
import pytest
from golden_cases import PACKAGED
from hub import COMMIT, Hub

from lucaflow import open_embeddings

NAME = "esm2_t6_8M_UR50D"
TINY = PACKAGED / "encoders/checkpoints/E1"
TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}


def test_a_directory_of_ones_own(workflow):
    """Matrices, the row of <cls> and contacts are those that fair-esm and LucaOneTasks gave."""
    cases = json.loads((PACKAGED / "encoders/esm2_manifest.json").read_text())
    with np.load(PACKAGED / "encoders/esm2.npz") as file:
        arrays = dict(file)
    by_name = {case["name"]: case for case in cases}
    matrix, forward = by_name["E1/lucaonetasks/b/"], by_name["E1/fair_esm/b"]
    workflow.fasta("p.fasta", {"b": matrix["sequence"], "j": "MKJVLAWRRK"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config["model"] = {"llm_version": f"{NAME},mini"}
    workflow.config["checkpoints"]["path"] = {NAME: str(TINY)}
    workflow.config["embedding"] = {"outputs": ["mean", "cls", "matrix"]}
    workflow.run().succeeded()
    with open_embeddings(workflow.result("p", "embeddings.h5", NAME)) as embeddings:
        assert embeddings.attrs["llm_version"] == NAME
        assert embeddings["j"]["matrix"].shape == (10, 32)
        expected = arrays[matrix["array"]]
        np.testing.assert_allclose(embeddings["b"]["matrix"][:], expected, **TOLERANCE)
        np.testing.assert_allclose(embeddings["b"]["mean"], expected.mean(0), **TOLERANCE)
        cls = arrays[by_name["E1/lucaonetasks/b/embedding_type=vector"]["array"]]
        np.testing.assert_allclose(embeddings["b"]["cls"], cls, **TOLERANCE)
    assert workflow.result("p", "embeddings.h5").is_file()
    workflow.config["model"] = {"llm_version": NAME}
    workflow.config["embedding"] = {"outputs": ["contacts"]}
    workflow.run("--", f"results/p/{NAME}/figures/contacts.png").succeeded()
    assert workflow.result("p", "figures/contacts.png", NAME).stat().st_size > 5000
    with open_embeddings(workflow.result("p", "embeddings.h5", NAME)) as embeddings:
        assert embeddings["j"]["contacts"].shape == (10, 10)
        np.testing.assert_allclose(embeddings["b"]["contacts"][:], arrays[forward["contacts"]], **TOLERANCE)


@pytest.mark.long
def test_fetched_from_a_hub_with_its_licence(workflow):
    workflow.fasta("p.fasta", {"a": "MKVLAWRRKLAW"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {"model": {"llm_version": NAME}, "checkpoints": {}}
    parts = PACKAGED / "encoders/checkpoints/E2-sharded"
    with loopback.serving() as server:
        Hub(server, f"facebook/{NAME}").publish({path.name: path.read_bytes() for path in parts.iterdir()})
        run = workflow.run("fetch", HF_ENDPOINT=server.address, HF_HUB_DISABLE_TELEMETRY="1")
        run.succeeded()
        assert f"{NAME}: its licence is: MIT" in run.output
    published = workflow.directory / f"resources/checkpoints/published/{NAME}-huggingface"
    assert json.loads((published / "fetched.json").read_text())["commit"] == COMMIT
    assert not (published / "vocab.txt").exists()
    record = json.loads((published.parents[1] / f"{NAME}-huggingface/checkpoint.json").read_text())
    assert (record["family"], record["llm_version"], len(record["origin"])) == ("esm2", NAME, 8)
