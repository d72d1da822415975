"""Contacts and LucaOneApp's files, from an input file to what a user opens."""

from __future__ import annotations

import json
import pickletools
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from golden_cases import PACKAGED, TOLERANCE

MODEL = "lucaone-36000000"


@pytest.fixture
def lucaone(workflow):
    """A working directory whose configuration names a recorded checkpoint that has a contact head."""
    workflow.config |= {
        "checkpoints": {
            "directory": "converted",
            "source": "local",
            "path": str(PACKAGED / "embedding/checkpoints/T1"),
        },
        "model": {"llm_version": "lucaone"},
    }
    return workflow


def test_the_files_of_lucaoneapp(lucaone):
    """The same names and values as recorded; then tensors instead of arrays, without embedding again."""
    manifest = json.loads((PACKAGED / "embedding/manifest.json").read_text())
    case = next(case for case in manifest["cases"] if case["id"] == "T1/reader/fasta-multi")
    recorded = np.load(PACKAGED / "embedding/T1.npz")
    lucaone.write("p.fasta", case["runs"][0]["input_text"])
    lucaone.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    lucaone.config["export"] = ["lucaone"]
    lucaone.run().succeeded()
    folder = lucaone.result("p", "export/lucaone", MODEL)
    assert {path.name for path in folder.glob("*.pt")} == {output["file"] for output in case["outputs"]}
    for output in case["outputs"]:
        found = torch.load(folder / output["file"], weights_only=False)
        assert isinstance(found, np.ndarray)
        np.testing.assert_allclose(found, recorded[output["array"]], **TOLERANCE)
    with zipfile.ZipFile(folder / case["outputs"][0]["file"]) as packed:
        pickled = packed.read(next(name for name in packed.namelist() if name.endswith("data.pkl")))
    texts = {argument for opcode, argument, _ in pickletools.genops(pickled) if "UNICODE" in opcode.name}
    assert {text for text in texts if text.startswith("numpy")} == {"numpy"}, "numpy before 2 knows no numpy._core"
    lucaone.config["save_type"] = "tensor"
    assert set(lucaone.run().succeeded().jobs) == {"export_lucaone", "summarise"}
    for output in case["outputs"]:
        found = torch.load(folder / output["file"], weights_only=True)
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found, recorded[output["array"]], **TOLERANCE)


@pytest.mark.long
def test_precisions_and_windows_are_compared(lucaone):
    """Another precision than float32 comes with what it costs; windows are compared when that is asked for."""
    lucaone.fasta("p.fasta", {"long": "MKVLAWRRKLAWQE" * 9, "short": "MKV", "again": "MKV"})
    lucaone.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    lucaone.config["embedding"] = {"precision": "bfloat16"}
    lucaone.run().succeeded()
    table = pd.read_csv(lucaone.result("p", "figures/precisions.tsv", MODEL), sep="\t")
    assert table[["precision", "id", "length"]].to_numpy().tolist() == [
        [precision, *record]
        for precision in ("float16 (stored)", "bfloat16")
        for record in (("long", 126), ("short", 3))
    ]
    lucaone.fasta("p.fasta", {"long": "MKVLAWRRKLAWQE" * 9, "new": "MKVV"})
    lucaone.run("precisions").succeeded()
    table = pd.read_csv(lucaone.result("p", "figures/precisions.tsv", MODEL), sep="\t")
    assert table["id"].tolist() == ["long", "new"] * 2
    lucaone.run("stitchings").failed("Set embedding.embedding_fixed_len_a_time to the length of windows to compare")
    lucaone.config["embedding"] = {"embedding_fixed_len_a_time": 100}
    lucaone.run("stitchings").failed("no sequence has 200 (two windows) to 50000 residues; the longest has 126")
    lucaone.config["embedding"] = {"embedding_fixed_len_a_time": 15}
    lucaone.forget()
    lucaone.run("stitchings").succeeded()
    table = pd.read_csv(lucaone.result("p", "figures/stitchings.tsv", MODEL), sep="\t")
    assert set(table["window"]) == {15}
    assert table["division"].tolist()[-1] == "centered"
    assert lucaone.result("p", "figures/stitchings.png", MODEL).stat().st_size > 10_000
