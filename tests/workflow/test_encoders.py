"""ESM-2 and DNABERT-2 through whole runs: from directories of one's own, and from a Hub on loopback."""

from __future__ import annotations

import json

import h5py
import loopback
import numpy as np
import pytest
import torch
from golden_cases import PACKAGED, golden_folder
from hub import COMMIT, Hub
from recorded_encoders import (
    CASES,
    GOLDEN,
    LOGITS,
    TOLERANCE,
    by_options,
    classified,
    kept,
    language_logits,
    published_tensors,
    recorded_arrays,
    seq_type_of,
)

from lucaflow import open_embeddings

NAME = "esm2_t6_8M_UR50D"
TINY = PACKAGED / "encoders/checkpoints"
RUNS = by_options(CASES)
# Endings of the names of LucaOne's directories that one run takes.
PORTED = ("-hf", "-cls-multi_label", "-token-multi_class")
MASKED = [case for case in CASES if "masked" in case]


@pytest.fixture(scope="module")
def arrays():
    return recorded_arrays()


def test_a_directory_of_ones_own(workflow, arrays):
    """Matrices, the row of <cls> and contacts are those that fair-esm and LucaOneTasks gave; J is read as X."""
    by_name = {case["name"]: case for case in CASES}
    if "E1/lucaonetasks/b/" not in by_name:
        pytest.skip(f"{GOLDEN} has no case E1/lucaonetasks/b/")
    matrix, forward = by_name["E1/lucaonetasks/b/"], by_name["E1/fair_esm/b"]
    workflow.fasta("p.fasta", {"b": matrix["sequence"], "j": "MKJVLAWRRK", "x": "MKXVLAWRRK"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config["model"] = {"llm_version": f"{NAME},mini"}
    workflow.config["checkpoints"]["path"] = {NAME: str(GOLDEN / "checkpoints/E1")}
    workflow.config["embedding"] = {"outputs": ["mean", "cls", "matrix"]}
    workflow.run().succeeded()
    with open_embeddings(workflow.result("p", "embeddings.h5", NAME)) as embeddings:
        assert embeddings.attrs["llm_version"] == NAME
        assert embeddings["j"]["matrix"].shape == (10, 32)
        np.testing.assert_array_equal(embeddings["j"]["matrix"], embeddings["x"]["matrix"])
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


def test_fetched_embedded_exported_and_verified(workflow):
    """DNABERT-2 from a Hub, with its licence; the spans of its rows are in exports too, and are verified."""
    sequences = {"a": "ACGTAGCATCGGATCTATCTATCGACACTTGGTTATC", "n": "ACGNNTACRYGTA", "u": "AUGGCUAAUUGA"}
    workflow.fasta("g.fasta", sequences)
    workflow.datasets({"dataset": "g", "path": "g.fasta", "seq_type": "gene"})
    workflow.config |= {"model": {"llm_version": "dnabert2"}, "checkpoints": {}, "export": ["standalone", "lucaone"]}
    workflow.config["embedding"] = {"outputs": ["cls", "matrix"]}
    with loopback.serving() as server:
        files = {path.name: path.read_bytes() for path in (TINY / "D1").iterdir()}
        Hub(server, "zhihan1996/DNABERT-2-117M").publish(files)
        run = workflow.run(HF_ENDPOINT=server.address, HF_HUB_DISABLE_TELEMETRY="1")
    run.succeeded()
    assert "dnabert2: its licence is: Apache-2.0" in run.output
    path = workflow.result("g", "embeddings.h5", "dnabert2")
    exports = path.parent / "export"
    with open_embeddings(path) as embeddings, open_embeddings(exports / "standalone.h5") as standalone:
        for name, sequence in sequences.items():
            spans = embeddings.spans(name)
            assert len(spans) == len(embeddings[name]["matrix"])
            assert (spans[0, 0], spans[-1, 1]) == (0, len(sequence))
            np.testing.assert_array_equal(standalone.spans(name), spans)
            np.testing.assert_array_equal(torch.load(exports / f"lucaone/spans_{name}.pt", weights_only=False), spans)
    workflow.run("verify").succeeded()
    assert "Nothing to be done" in workflow.run().output
    (shard,) = path.parent.glob("shards/*/*.h5")
    with h5py.File(shard, "r+") as file:
        spans = next(iter(file["spans"].values()))
        spans[0, 1] += 1
    workflow.run("verify").failed("/spans/", "is damaged: its values do not match their checksum")


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_all_recorded_arrays(workflow, arrays, name):
    """Each run embeds all recorded sequences that its options are for, of both types, by all checkpoints at once."""
    given: dict[str, dict[str, str]] = {"prot": {}, "gene": {}}
    for case, _ in RUNS[name]:
        seq_type = seq_type_of(case)
        # A J would have its own row here.
        text = case["sequence"] if "J" not in case["sequence"] else kept(case, seq_type)
        given[seq_type].setdefault(text, f"s{len(given[seq_type])}")
    rows = []
    for seq_type, ids in given.items():
        workflow.fasta(f"{seq_type}.fasta", {key: text for text, key in ids.items()})
        models = sorted({case["checkpoint"] for case, _ in RUNS[name] if seq_type_of(case) == seq_type})
        rows += [
            {"dataset": seq_type, "path": f"{seq_type}.fasta", "seq_type": seq_type, "llm_version": ",".join(models)}
        ]
    workflow.datasets(*(row for row in rows if row["llm_version"]))
    workflow.config["checkpoints"]["path"] = {
        config.parent.name: str(config.parent) for config in (GOLDEN / "checkpoints").glob("*/config.json")
    }
    workflow.config["embedding"] = {"outputs": ["cls", "matrix"], **RUNS[name][0][1].options}
    workflow.config["input"] = {"invalid_characters": "drop", "type_mismatch": "accept"}
    workflow.run().succeeded()
    for case, (_, output, array) in RUNS[name]:
        seq_type, checkpoint = seq_type_of(case), case["checkpoint"]
        key = given[seq_type].get(case["sequence"]) or given[seq_type][kept(case, seq_type)]
        with open_embeddings(workflow.result(seq_type, "embeddings.h5", checkpoint)) as embeddings:
            if output != "logits":
                np.testing.assert_allclose(embeddings[key][output][:], arrays[array], **TOLERANCE, err_msg=case["name"])
            else:
                published = published_tensors(GOLDEN / "checkpoints" / checkpoint)
                eps = 1e-12 if seq_type == "gene" else 1e-5
                found = language_logits(torch.from_numpy(embeddings[key]["matrix"][:]), published, eps)
                np.testing.assert_allclose(found, arrays[array], **LOGITS, err_msg=case["name"])
            if "tokens" in case and not case["options"]:
                lengths = [1 if token == "[UNK]" else len(token) for token in case["tokens"][1:-1]]
                ends = np.cumsum(lengths)
                np.testing.assert_array_equal(embeddings.spans(key), np.stack([ends - lengths, ends], axis=1))


@pytest.mark.long
def test_hugging_face_directories_of_lucaone(workflow):
    """A masked language model and two classifiers: each encoder gives what its head was recorded with."""
    folder = golden_folder("language_model")
    cases = [
        case
        for case in json.loads((folder / "hf_manifest.json").read_text())
        if (folder / "checkpoints" / case["checkpoint"]).is_dir()
        and case["checkpoint"].endswith(PORTED)
        and not case.get("masked")
    ]
    names = sorted({case["checkpoint"] for case in cases})
    workflow.config["checkpoints"]["path"] = {name: str(folder / "checkpoints" / name) for name in names}
    workflow.config["model"] = {"llm_version": ",".join(names)}
    workflow.config["embedding"] = {"outputs": ["matrix"], "matrix_add_special_token": True}
    given = {seq_type: {} for seq_type in ("gene", "prot")}
    for case in cases:
        given[case["seq_type"]].setdefault(case["sequence"], f"s{len(given[case['seq_type']])}")
    for seq_type, ids in given.items():
        workflow.fasta(f"{seq_type}.fasta", {key: text for text, key in ids.items()})
    workflow.datasets(*({"dataset": each, "path": f"{each}.fasta", "seq_type": each} for each in given))
    workflow.run().succeeded()
    with np.load(folder / "hf.npz") as file:
        recorded = dict(file)
    for case in cases:
        published = published_tensors(folder / "checkpoints" / case["checkpoint"])
        with open_embeddings(workflow.result(case["seq_type"], "embeddings.h5", case["checkpoint"])) as embeddings:
            x = torch.from_numpy(embeddings[given[case["seq_type"]][case["sequence"]]]["matrix"][:])
        found = language_logits(x, published) if case["kind"] == "hf_mlm" else classified(case, x, published)
        np.testing.assert_allclose(found.squeeze(), recorded[case["logits"]].squeeze(), **LOGITS, err_msg=case["name"])


@pytest.mark.long
def test_masked_residues_are_refused_and_not_read_as_letters(workflow):
    """A recorded case with [MASK] is none of the workflow's: its letters would be read as residues."""
    texts = {}
    for number, case in enumerate(MASKED):
        letters = ["<mask>" if each in case["masked"] else letter for each, letter in enumerate(case["sequence"])]
        texts[f"m{number}"] = "".join(letters)
    workflow.fasta("p.fasta", texts)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.run().failed("'<'", "is not a residue code (A to Z)")
    problems = (workflow.directory / "results/p/problems.tsv").read_text().splitlines()
    assert len(problems) == 1 + len(MASKED)


@pytest.mark.long
def test_fetched_from_a_hub_with_its_licence(workflow):
    workflow.fasta("p.fasta", {"a": "MKVLAWRRKLAW"})
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {"model": {"llm_version": NAME}, "checkpoints": {}}
    with loopback.serving() as server:
        files = {path.name: path.read_bytes() for path in (TINY / "E2-sharded").iterdir()}
        Hub(server, f"facebook/{NAME}").publish(files)
        run = workflow.run("fetch", HF_ENDPOINT=server.address, HF_HUB_DISABLE_TELEMETRY="1")
        run.succeeded()
        assert f"{NAME}: its licence is: MIT" in run.output
    published = workflow.directory / f"resources/checkpoints/published/{NAME}-huggingface"
    assert json.loads((published / "fetched.json").read_text())["commit"] == COMMIT
    assert not (published / "vocab.txt").exists()
    record = json.loads((published.parents[1] / f"{NAME}-huggingface/checkpoint.json").read_text())
    assert (record["family"], record["llm_version"], len(record["origin"])) == ("esm2", NAME, 8)
