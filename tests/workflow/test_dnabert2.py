"""DNABERT-2 through the whole workflow, from a Hub on loopback: rows are tokens, and spans say of which letters."""

from __future__ import annotations

import json

import h5py
import loopback
import numpy as np
import torch
from golden_cases import PACKAGED
from hub import Hub

from lucaflow import open_embeddings

TINY = PACKAGED / "encoders/checkpoints/D1"
TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}


def test_fetched_embedded_exported_and_verified(workflow):
    cases = {case["name"]: case for case in json.loads((PACKAGED / "encoders/dnabert2_manifest.json").read_text())}
    with np.load(PACKAGED / "encoders/dnabert2.npz") as file:
        arrays = dict(file)
    names = ("a", "n", "u", "long")
    workflow.fasta("g.fasta", {name: cases[f"D1/lucaonetasks/{name}/"]["sequence"] for name in names})
    workflow.datasets({"dataset": "g", "path": "g.fasta", "seq_type": "gene"})
    workflow.config |= {"model": {"llm_version": "dnabert2"}, "checkpoints": {}, "export": ["standalone", "lucaone"]}
    workflow.config["embedding"] = {"outputs": ["cls", "matrix"]}
    with loopback.serving() as server:
        Hub(server, "zhihan1996/DNABERT-2-117M").publish({path.name: path.read_bytes() for path in TINY.iterdir()})
        run = workflow.run(HF_ENDPOINT=server.address, HF_HUB_DISABLE_TELEMETRY="1")
    run.succeeded()
    assert "dnabert2: its licence is: Apache-2.0" in run.output
    path = workflow.result("g", "embeddings.h5", "dnabert2")
    exports = path.parent / "export"
    with open_embeddings(path) as embeddings, open_embeddings(exports / "standalone.h5") as standalone:
        for name in names:
            case = cases[f"D1/lucaonetasks/{name}/"]
            np.testing.assert_allclose(embeddings[name]["matrix"], arrays[case["array"]], **TOLERANCE)
            vector = cases[f"D1/lucaonetasks/{name}/embedding_type=vector"]
            np.testing.assert_allclose(embeddings[name]["cls"], arrays[vector["array"]], **TOLERANCE)
            lengths = [1 if token == "[UNK]" else len(token) for token in case["tokens"][1:-1]]
            spans = embeddings.spans(name)
            np.testing.assert_array_equal(spans[:, 1], np.cumsum(lengths))
            np.testing.assert_array_equal(spans[:, 0], np.cumsum(lengths) - lengths)
            np.testing.assert_array_equal(standalone.spans(name), spans)
            np.testing.assert_array_equal(torch.load(exports / f"lucaone/spans_{name}.pt", weights_only=False), spans)
    workflow.run("verify").succeeded()
    assert "Nothing to be done" in workflow.run().output
    (shard,) = path.parent.glob("shards/*/*.h5")
    with h5py.File(shard, "r+") as file:
        spans = next(iter(file["spans"].values()))
        spans[0, 1] += 1
    workflow.run("verify").failed("/spans/", "is damaged: its values do not match their checksum")
