"""The recipe of the packaged checkpoint, in a smaller setting, and what the packaged weights know."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from workflow_runs import ROOT

from lucaflow.downstream.networks import Head
from lucaflow.encoders.vocabulary import CLS, MASK, SEP, TOKEN_TYPE
from mini import training, weights
from mini.card import read_repeats
from mini.corpus import Corpus, Labelled, corpus, near_duplicates, normalised, tokens
from mini.evidence import Share, masked_tokens, mean_vectors, neighbours_agree, word_counts
from mini.heads import PAIR, back_translated, codon_usage, save_head
from mini.network import CONFIG, MaskedLanguageModel
from mini.pairs import hardest_others
from mini.training import HIDDEN, MASKED_SHARE, REPLACED, Setting, hide, loss_of, random_batch, train

EVIDENCE = json.loads((ROOT / "resources/mini/evidence.json").read_text())
# What docs/mini.md says holds for each of the trainings it shows.
TRAININGS = {"packaged": EVIDENCE, **read_repeats(ROOT / "resources")}
each_training = pytest.mark.parametrize("training", TRAININGS)
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
DEMO = {"pfam": "pfam_domains.csv", "location": "subcellular.csv", "miRNA family": "mirna_hairpins.csv"}


@pytest.fixture(scope="module")
def packaged():
    return weights.load(ROOT / "resources/mini")


def demo(name: str) -> Labelled:
    (row,) = (row for row in EVIDENCE["masked tokens and neighbours"] if row["set"] == name)
    with (ROOT / "resources/demo" / DEMO[name]).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    sequences = [normalised(each["sequence"], row["seq_type"]) for each in rows]
    return Labelled(name, row["seq_type"], sequences, [each["label"] for each in rows])


@pytest.mark.parametrize("seq_type", ["gene", "prot"])
def test_what_is_trained_is_what_embeds(seq_type):
    torch.manual_seed(0)
    model = MaskedLanguageModel()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    ids = torch.randint(5, 9, (3, 50)) if seq_type == "gene" else torch.randint(10, 30, (3, 50))
    trained = model.hidden(ids, seq_type).detach()
    with torch.inference_mode():
        embedded = model.encoder(ids.reshape(-1), torch.full((150,), TOKEN_TYPE[seq_type]), [50] * 3).view(3, 50, -1)
    assert (trained - embedded).abs().max() < 1e-5 * embedded.abs().max()


def test_what_is_hidden():
    draw = np.random.default_rng(0)
    ids = np.full((400, 100), 15)
    ids[:, 0], ids[:, -1] = CLS, SEP
    shown, asked = hide(ids, "prot", draw)
    assert not asked[:, [0, -1]].any()
    assert (shown[~asked] == ids[~asked]).all()
    assert asked[:, 1:-1].mean() == pytest.approx(MASKED_SHARE, abs=0.01)
    assert (shown[asked] == MASK).mean() == pytest.approx(HIDDEN, abs=0.02)
    # Of those that are replaced one in twenty is replaced by what it was.
    assert ((shown[asked] != MASK) & (shown[asked] != 15)).mean() == pytest.approx(0.95 * REPLACED, abs=0.01)


def text(count: int, length: int, letters: str, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list(letters), length)) for _ in range(count)]


@pytest.mark.parametrize(
    ("seq_type", "letters", "few"), [("gene", "ACGT", 0.02), ("prot", "ACDEFGHIKLMNPQRSTVWY", 0.1)]
)
def test_near_duplicates_are_found(seq_type, letters, few):
    draw = np.random.default_rng(1)
    apart = text(5, 300, letters)
    changed = ["".join(draw.choice(list(letters)) if draw.random() < few else x for x in s) for s in apart]
    piece, others = apart[2][40:140], text(5, 300, letters, seed=2)
    found = near_duplicates(
        [tokens(s, seq_type) for s in (*changed, piece, *others)], [tokens(s, seq_type) for s in apart], seq_type
    )
    assert found.tolist() == [True] * 6 + [False] * 5
    kept = corpus([*changed, *others], [Labelled("a", seq_type, apart, ["x"] * 5)], seq_type)
    assert len(kept.lengths) == 5


def test_a_batch_is_cut_out_of_sequences():
    sequences = text(30, 60, "ACDE") + text(30, 500, "FGHI")
    known = corpus(sequences, [], "prot")
    draw = np.random.default_rng(0)
    whole = ["".join(map(chr, tokens(s, "prot"))) for s in sequences]
    for _ in range(10):
        ids = random_batch(known, 1000, draw)
        assert ids.shape[1] in (48, 384)
        assert (ids[:, 0] == CLS).all() and (ids[:, -1] == SEP).all()
        assert all(any("".join(map(chr, row)) in s for s in whole) for row in ids[:, 1:-1])


def repeats(seq_type: str, letters: str) -> Corpus:
    return corpus([s * 20 for s in text(40, 5, letters)], [], seq_type)


@pytest.mark.long
def test_training_learns(tmp_path):
    """A text of repeats, which takes attention to tell: no residue says what the next one is."""
    corpora = [repeats("gene", "ACGT"), repeats("prot", RESIDUES)]
    setting = Setting(steps=400, tokens=960, rate=3e-3, warmup=20)
    model = train(corpora, setting, tmp_path / "whole")
    losses = {
        c.seq_type: loss_of(
            model, random_batch(c, 4000, np.random.default_rng(9)), c.seq_type, np.random.default_rng(9)
        )
        for c in corpora
    }
    assert losses["gene"] < 0.8 * np.log(4) and losses["prot"] < 0.8 * np.log(20)
    state = torch.load(tmp_path / "whole/state.pt", weights_only=True)
    assert state["step"] == 400


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path, monkeypatch):
    corpora = [repeats("gene", "ACGT"), repeats("prot", RESIDUES)]
    setting = Setting(steps=12, tokens=300, warmup=5)
    monkeypatch.setattr(training, "EVERY", 8)
    whole = train(corpora, setting, tmp_path / "whole")
    drawn = iter(range(10))

    def cut_off(*arguments):
        next(drawn)
        return random_batch(*arguments)

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(training, "random_batch", cut_off)
        train(corpora, setting, tmp_path / "halves")
    assert torch.load(tmp_path / "halves/state.pt", weights_only=True)["step"] == 8
    again = train(corpora, setting, tmp_path / "halves")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
    for other, texts in ((replace(setting, seed=2), corpora), (setting, [repeats("gene", "ACG"), corpora[1]])):
        with pytest.raises(RuntimeError, match="is of other settings or texts"):
            train(texts, other, tmp_path / "halves")


def test_weights_come_back_as_they_are_embedded(tmp_path, packaged):
    weights.save(packaged, tmp_path)
    again = weights.load(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(packaged.state_dict().values(), again.state_dict().values(), strict=True)
    )
    saved = ROOT / "resources/mini/llm/models/lucaone/mini/checkpoint-step1"
    assert sum(path.stat().st_size for path in saved.iterdir()) < 8e6
    assert sum(p.numel() for p in packaged.encoder.parameters()) > 1e6


@pytest.mark.parametrize("name", DEMO)
def test_the_packaged_weights_know_what_is_written_of_them(packaged, name):
    (row,) = (row for row in EVIDENCE["masked tokens and neighbours"] if row["set"] == name)
    labelled = demo(name)
    told, loss = masked_tokens(packaged, labelled)
    assert told.value == pytest.approx(Share(**row["masked"]["mini"]).value, abs=0.005)
    assert loss == pytest.approx(row["loss"]["mini"], abs=0.005)
    near = neighbours_agree(mean_vectors(packaged.encoder, labelled), labelled.labels)
    assert near.value == pytest.approx(Share(**row["neighbours"]["mini"]).value, abs=0.02)
    counted = neighbours_agree(word_counts(3)(labelled), labelled.labels)
    assert counted.value == pytest.approx(Share(**row["neighbours"]["3-mers"]).value, abs=0.001)


def test_the_trainings_are_others():
    losses = [[row["loss"]["mini"] for row in each["masked tokens and neighbours"]] for each in TRAININGS.values()]
    assert len(losses) == 3
    assert len(set(map(tuple, losses))) == 3


@each_training
@pytest.mark.parametrize("seq_type", ["gene", "prot"])
def test_masked_tokens_are_told_better_than_by_counting(seq_type, training):
    """Of all that was kept apart of an alphabet; not of every small set, as docs/mini.md says."""
    found = TRAININGS[training]["masked tokens and neighbours"]
    rows = [row["masked"] for row in found if row["seq_type"] == seq_type]
    together = {
        name: Share(sum(row[name]["right"] for row in rows), sum(row[name]["of"] for row in rows)) for name in rows[0]
    }
    mini = together.pop("mini")
    assert len(together) == 3
    assert all(mini.interval[0] > other.interval[1] for other in together.values())


@each_training
def test_the_loss_is_smaller_than_by_counting_but_on_orchids(training):
    """Of which the training text has none like them, as docs/mini.md says."""
    for row in TRAININGS[training]["masked tokens and neighbours"]:
        mini, *others = row["loss"].values()
        assert len(others) == 3
        assert (mini < min(others)) == (row["set"] != "orchid genus"), row["set"]


@each_training
@pytest.mark.parametrize("name", ["location, test set", "miRNA family"])
def test_neighbours_are_better_than_untrained(name, training):
    (row,) = (r for r in TRAININGS[training]["masked tokens and neighbours"] if r["set"] == name)
    shares = {name: Share(**share) for name, share in row["neighbours"].items()}
    assert shares["mini"].interval[0] > shares["untrained"].interval[1]


def test_codons_and_negatives():
    usage = codon_usage([("ATGAAAAAGAAATAA", "MKKK")])
    assert usage["K"][0] == ["AAA", "AAG"] and usage["K"][1] == pytest.approx([2 / 3, 1 / 3])
    draw = np.random.default_rng(0)
    assert back_translated("MK", usage, draw) in ("ATGAAATAA", "ATGAAGTAA")
    assert back_translated("MW", usage, draw) is None
    assert hardest_others(["AAAC", "AACA", "WWWW", "WWWY", "AAAC"])[0] == 1


def test_a_head_is_saved_by_the_names_of_lucaonetasks(tmp_path):
    task = {"name": "T", "dataset_type": "gene_protein", "task_type": "binary_class", "model_type": "lucappi2"}
    save_head(Head(PAIR), tmp_path, task, ["0", "1"])
    (path,) = tmp_path.rglob("pytorch_model.bin")
    names = set(torch.load(path, weights_only=True))
    assert {"matrix_pooler_a.U", "matrix_pooler_b.W", "linear_b.0.0.weight", "hidden_layer.bias"} <= names
    assert not any("towers" in name for name in names)
    assert CONFIG.hidden_size == 128
