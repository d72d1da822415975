"""Which passes scores need, and what a run says of them before it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lucaflow.checkpoints.model import Model
from lucaflow.config.datasets import Dataset
from lucaflow.config.scores import ScoreOptions
from lucaflow.errors import ConfigError
from lucaflow.records.readers import Columns
from lucaflow.records.variant_files import Target, Variant
from lucaflow.records.variants import substitutions_of
from lucaflow.scores.pass_store import locked_store
from lucaflow.scores.preflight import already_computed, estimate_scores
from lucaflow.scores.requests import passes_of_variants, wanted_names, work_of_variants

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQ"
MUTANTS = ["K2A", "K2R", "K2A:T3P", "T3P:K2W", "WT", "S13S"]
METHODS = ("masked_marginals", "wt_marginals", "masked_marginals_joint", "mutant_marginals")
RECORD = {"parameters": 10**9, "encoder": {"hidden_size": 2560, "num_hidden_layers": 20}}


def variants(mutants=MUTANTS):
    target = Target("p", "ab" * 32, PROTEIN)
    return [Variant(2, [], target, substitutions_of(mutant, PROTEIN, "prot"), "") for mutant in mutants]


DATASET = Dataset("p", Path("p.fasta"), "prot", Columns(), Model("lucaone", 1))


def estimated(scores, lengths):
    return estimate_scores(DATASET, scores, lengths, {}, RECORD, (1e11, "8 CPU cores"))


def test_variants_share_the_passes_of_their_positions():
    (found,) = passes_of_variants(variants(), METHODS).values()
    names = [name for name, _ in wanted_names(len(PROTEIN), ScoreOptions(methods=METHODS), found)]
    assert names == ["u", "m1", "m2", "m12", "j1,2", "x1A", "x1A,2P", "x1R", "x1W,2P", "x12S"]


def test_what_the_outputs_need_anyway_is_not_counted_twice():
    found = passes_of_variants(variants(), METHODS)
    assert work_of_variants(found, ScoreOptions(methods=METHODS)).passes == 10
    assert work_of_variants(found, ScoreOptions(("likelihood",), METHODS)).passes == 7


def test_a_long_scan_is_told_what_takes_a_single_pass():
    scores = ScoreOptions(("scan",))
    text = estimated(scores, {1000: 1}).describe(scores)
    assert "1,000 passes, 1,002,000 tokens" in text
    assert "`scores.methods: [wt_marginals]` would take 1 pass, about 2" in text
    assert "wt_marginals" not in estimated(scores, {20: 1}).describe(scores)


def test_too_many_passes_are_refused_with_the_estimate_and_the_way_out():
    scores = ScoreOptions(("scan",), most_passes=999)
    with pytest.raises(ConfigError) as error:
        estimated(scores, {1000: 1}).require_few(scores)
    for words in ("need 1,000 passes", "about 6 hours", "[wt_marginals]` would take 1 pass", "most_passes to 1000"):
        assert words in str(error.value)


def test_jobs_are_as_many_as_the_tokens_need():
    found = estimated(ScoreOptions(("scan",)), {1000: 50})
    assert found.parts(20_000_000) == 3
    assert found.parts(100_000_000) == 1


def test_results_of_other_sequences_and_other_scores_do_not_count_as_computed(tmp_path):
    mine, other, row = "ab" * 32, "cd" * 32, np.zeros((1, 6), dtype=np.float32)

    def computed(scores, sequences):
        return already_computed(tmp_path, sequences, passes_of_variants(variants(), METHODS), scores, DATASET, RECORD)

    likelihood, contacts = ScoreOptions(("likelihood",)), ScoreOptions(("contacts",))
    assert computed(likelihood, [(mine, 22)]) == 0
    with locked_store(tmp_path / "all.sqlite", "a test") as store:
        store.add(mine, [(f"m{position}", row) for position in range(22)], 22 * 24)
        store.add(other, [(f"i{position}", row) for position in range(50)], 50 * 20 * 52)
    assert computed(likelihood, [(mine, 22)]) == 22 * 24
    # Three positions of the variants.
    assert computed(contacts, [(mine, 22)]) == 3 * 24
    assert computed(likelihood, [(other, 50)]) == 0
    assert computed(contacts, [(other, 50)]) == 50 * 20 * 52
    assert computed(likelihood, [("ef" * 32, 22)]) == 0
