"""Scores of LucaOne's language model agree with what its training class recorded, and those of other families too."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from golden_cases import golden_folder
from torch.nn.functional import gelu

from lucaflow import load_encoder, log_probabilities, score_variants
from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.layouts import locate, locate_own
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.state_dicts import read_tensors
from lucaflow.records.variants import mutated, require_sequence, substitutions_of
from lucaflow.scores.likelihood import log_softmax
from lucaflow.scores.passes import LanguageModel
from lucaflow.scores.variants import METHODS
from lucaflow.scores.work import ScoreRequest, score_sequence

GOLDEN, ENCODERS = golden_folder("language_model"), golden_folder("encoders")
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
LOGITS = {"atol": 1e-4, "rtol": 1e-5}
# Sums over the residues of a sequence, as a share of their size; values of single residues, or of a few of them.
SUM, SINGLE = {"rtol": 1e-6}, {"atol": 1e-4, "rtol": 1e-6}
OURS = Model("ours", None)


def cases_of(kind):
    there = {name for name, entry in MANIFEST["checkpoints"].items() if (GOLDEN / entry["path"]).is_dir()}
    found = [case for case in MANIFEST["cases"] if case["kind"] == kind and case["checkpoint"] in there]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.fixture(scope="module")
def published():
    """The published files of each checkpoint, by its name."""
    return {
        name: locate_own(GOLDEN / entry["path"], OURS)
        for name, entry in MANIFEST["checkpoints"].items()
        if (GOLDEN / entry["path"]).is_dir()
    }


@pytest.fixture(scope="module")
def encoders(published, tmp_path_factory):
    found = {}
    for name, origin in published.items():
        folder = tmp_path_factory.mktemp(name)
        assert convert(origin, folder)["left_out"] in (["classifier_list", "hidden_layer_list"], [])
        found[name] = load_encoder(folder)
    return found


@cache
def arrays_of(checkpoint):
    with np.load(GOLDEN / f"{checkpoint}.npz") as file:
        return dict(file)


def residues(case):
    """Return the normalised sequence of a case."""
    return case["sequence"].replace("U", "T") if case["seq_type"] == "gene" else case["sequence"]


def hidden_states(encoder, case):
    """Return the last hidden states (n + 2, H) of a case."""
    ids = torch.from_numpy(encoder.vocabulary.encode(residues(case), case["seq_type"]))
    ids[[1 + position for position in case.get("masked", [])]] = encoder.vocabulary.mask_id
    if "input_ids" in case:
        assert ids.tolist() == case["input_ids"]
    return encoder(ids, torch.full_like(ids, encoder.vocabulary.token_types[case["seq_type"]]), [len(ids)])


@pytest.mark.parametrize("case", cases_of("logits"))
def test_logits_of_every_row(case, encoders):
    encoder = encoders[case["checkpoint"]]
    found = LanguageModel.of(encoder).head(hidden_states(encoder, case))
    np.testing.assert_allclose(found.numpy(), arrays_of(case["checkpoint"])[case["logits"]], **LOGITS)


@pytest.mark.parametrize("case", cases_of("scan"))
@pytest.mark.parametrize("budget", [1, 1000])
def test_scans_whatever_goes_through_the_network_together(case, budget, encoders):
    model = LanguageModel.of(encoders[case["checkpoint"]], budget)
    scores = score_sequence(model, residues(case), case["seq_type"], ScoreRequest(("likelihood", "scan")))
    expected = log_softmax(arrays_of(case["checkpoint"])[case["masked_logits"]])
    np.testing.assert_allclose(scores.masked, expected, **LOGITS)
    ids = scores.tokens.ids[1:-1]
    of_scan = expected[:, scores.letters.ids] - np.take_along_axis(expected, ids[:, None], 1)
    np.testing.assert_allclose(scores.scan, of_scan, atol=2e-4)
    found, restricted = scores.positions, case["restricted"]
    for values, recorded in [
        (found.log_probabilities, case["log_prob_masked"]),
        (found.entropies, case["entropy_masked"]),
        (found.log_probabilities_letters, restricted["log_prob_masked"]),
        (found.entropies_letters, restricted["entropy_masked"]),
    ]:
        np.testing.assert_allclose(values, np.array(recorded, dtype=float), **SINGLE)
    whole = found.likelihood
    assert (whole.length, whole.counted) == (len(ids), restricted["counted"])
    np.testing.assert_allclose(whole.pseudo_log_likelihood, case["pseudo_log_likelihood"], **SUM)
    np.testing.assert_allclose(whole.pseudo_log_likelihood_letters, restricted["pseudo_log_likelihood_of_those"], **SUM)
    np.testing.assert_allclose(np.log(whole.pseudo_perplexity), np.log(case["pseudo_perplexity"]), **SUM)


@pytest.mark.parametrize("case", cases_of("scan"))
def test_log_probabilities_from_python(case, encoders):
    encoder, arrays = encoders[case["checkpoint"]], arrays_of(case["checkpoint"])
    for masked, name in [(True, "masked_logits"), (False, "unmasked_logits")]:
        found = log_probabilities(encoder, case["sequence"], masked, case["seq_type"])
        np.testing.assert_allclose(found, log_softmax(arrays[case[name]]), **LOGITS)


@pytest.mark.parametrize("case", cases_of("mutants"))
def test_mutants_by_every_method(case, encoders):
    model, first = LanguageModel.of(encoders[case["checkpoint"]]), case["first_position"]
    names = [row["mutant"] for row in case["scores"]]
    variants = [substitutions_of(name, residues(case), case["seq_type"], first) for name in names]
    request = ScoreRequest((), METHODS)
    scores = score_sequence(model, residues(case), case["seq_type"], request, variants).variants
    for method in METHODS:
        recorded = [row[method] for row in case["scores"]]
        np.testing.assert_allclose(scores[method], recorded, **SINGLE)
        from_python = score_variants(model.encoder, case["sequence"], names, case["seq_type"], method, first)
        np.testing.assert_array_equal(from_python, scores[method])
    for changes, row in zip(variants, case["scores"], strict=True):
        mutant = mutated(residues(case), changes)
        require_sequence(row["mutated_sequence"], mutant, case["seq_type"])
        scored = score_sequence(model, mutant, case["seq_type"], ScoreRequest())
        likelihood = scored.positions.likelihood.pseudo_log_likelihood
        np.testing.assert_allclose(likelihood, row["pseudo_log_likelihood"], **SUM)


@pytest.mark.parametrize("case", cases_of("head"))
def test_other_heads_of_pretraining_on_the_hidden_states(case, encoders, published):
    """LucaFlow has none of these heads; the states that they were trained on are the encoder's."""
    name, level = case["checkpoint"], case["level"]
    log = next((GOLDEN / MANIFEST["checkpoints"][name]["path"]).rglob("logs.txt"))
    tasks = json.JSONDecoder().raw_decode(log.read_text())[0]["pretrain_tasks"]
    number = [task for kind, names in tasks.items() if kind != "token_level" for task in names].index(case["task"])
    state = {key.removeprefix("module."): value for key, value in read_tensors(published[name].weights[0]).items()}
    x = hidden_states(encoders[name], case)
    for part in ("hidden_layer_list", "classifier_list"):
        x = gelu(x) if part == "classifier_list" else x[:1] if level == "seq_level" else x
        x = x @ state[f"{part}.{number}.weight"].T + state[f"{part}.{number}.bias"]
    recorded = arrays_of(name)[case["logits"]]
    np.testing.assert_allclose(x.numpy().reshape(-1), recorded.reshape(-1)[-x.numel() :], **LOGITS)


def test_likelihoods_by_mini():
    model = LanguageModel.of(load_encoder("mini"))
    found = {}
    for case in json.loads((GOLDEN / "mini.json").read_text())["sequences"]:
        scores = score_sequence(model, case["sequence"], case["seq_type"], ScoreRequest()).positions
        found[case["name"]] = scores.likelihood.pseudo_perplexity
        np.testing.assert_allclose(scores.likelihood.pseudo_log_likelihood, case["pseudo_log_likelihood"], **SUM)
        np.testing.assert_allclose(found[case["name"]], case["pseudo_perplexity"], rtol=1e-5)
    assert all(found[name] < found[f"{name}_shuffled"] for name in ("hba", "ubq", "16S"))


ENCODER_CASES = [
    case
    for manifest in sorted(ENCODERS.glob("*_manifest.json"))
    for case in json.loads(manifest.read_text())
    if "logits" in case
]


@pytest.fixture(scope="module")
def other_encoders(tmp_path_factory):
    found = {}
    for config in sorted((ENCODERS / "checkpoints").glob("*/config.json")):
        folder = tmp_path_factory.mktemp(config.parent.name)
        convert(locate(config.parent, OURS), folder)
        found[config.parent.name] = load_encoder(folder)
    return found


@pytest.fixture(scope="module")
def other_arrays():
    return {name: array for path in ENCODERS.glob("*.npz") for name, array in np.load(path).items()}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in ENCODER_CASES])
def test_logits_of_other_families(case, other_encoders, other_arrays):
    encoder = other_encoders[case["checkpoint"]]
    ids = torch.tensor(case["input_ids"])
    found = LanguageModel.of(encoder).head(encoder(ids, torch.zeros_like(ids), [len(ids)]))
    np.testing.assert_allclose(found.numpy(), other_arrays[case["logits"]], **LOGITS)
