"""The recipe of the packaged checkpoint in a smaller setting, and the evidence for the packaged weights."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from workflow_runs import ROOT

from lucaflow.downstream.networks import Head
from lucaflow.encoders.lucaone import VOCABULARY
from mini import training, weights
from mini.card import read_repeats
from mini.corpus import Corpus, Labelled, near_duplicates, normalised, tokens, training_corpus
from mini.evidence import Share, mean_vectors, neighbours_agree, predict_with_network, word_counts
from mini.heads import PAIR, back_translated, codon_usage, save_head
from mini.network import CONFIG, MaskedLanguageModel
from mini.pairs import most_similar_others
from mini.training import MASKED, REPLACED, SELECTED_SHARE, Setting, loss_of, mask_tokens, random_batch, train

EVIDENCE = json.loads((ROOT / "resources/mini/evidence.json").read_text())
# The statements of docs/mini.md hold for each training in its tables.
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
def test_the_trained_network_equals_the_encoder(seq_type):
    torch.manual_seed(0)
    model = MaskedLanguageModel()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    ids = torch.randint(5, 9, (3, 50)) if seq_type == "gene" else torch.randint(10, 30, (3, 50))
    trained = model.hidden(ids, seq_type).detach()
    with torch.inference_mode():
        types = torch.full((150,), VOCABULARY.token_types[seq_type])
        embedded = model.encoder(ids.reshape(-1), types, [50] * 3).view(3, 50, -1)
    assert (trained - embedded).abs().max() < 1e-5 * embedded.abs().max()


def test_selected_tokens_are_masked_or_replaced():
    draw = np.random.default_rng(0)
    ids = np.full((400, 100), 15)
    ids[:, 0], ids[:, -1] = VOCABULARY.id_of("[CLS]"), VOCABULARY.id_of("[SEP]")
    masked, selected = mask_tokens(ids, "prot", draw)
    assert not selected[:, [0, -1]].any()
    assert (masked[~selected] == ids[~selected]).all()
    assert selected[:, 1:-1].mean() == pytest.approx(SELECTED_SHARE, abs=0.01)
    assert (masked[selected] == VOCABULARY.mask_id).mean() == pytest.approx(MASKED, abs=0.02)
    # One in twenty of the replaced tokens is replaced by the same token.
    replaced = (masked[selected] != VOCABULARY.mask_id) & (masked[selected] != 15)
    assert replaced.mean() == pytest.approx(0.95 * REPLACED, abs=0.01)


def random_sequences(count: int, length: int, letters: str, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list(letters), length)) for _ in range(count)]


@pytest.mark.parametrize(
    ("seq_type", "letters", "mutated_share"), [("gene", "ACGT", 0.02), ("prot", "ACDEFGHIKLMNPQRSTVWY", 0.1)]
)
def test_near_duplicates_are_found(seq_type, letters, mutated_share):
    draw = np.random.default_rng(1)
    held_out = random_sequences(5, 300, letters)
    changed = ["".join(draw.choice(list(letters)) if draw.random() < mutated_share else x for x in s) for s in held_out]
    piece, others = held_out[2][40:140], random_sequences(5, 300, letters, seed=2)
    found = near_duplicates(
        [tokens(s, seq_type) for s in (*changed, piece, *others)], [tokens(s, seq_type) for s in held_out], seq_type
    )
    assert found.tolist() == [True] * 6 + [False] * 5
    kept = training_corpus([*changed, *others], [Labelled("a", seq_type, held_out, ["x"] * 5)], seq_type)
    assert len(kept.lengths) == 5


def test_batches_are_cut_from_sequences():
    sequences = random_sequences(30, 60, "ACDE") + random_sequences(30, 500, "FGHI")
    corpus = training_corpus(sequences, [], "prot")
    draw = np.random.default_rng(0)
    whole = ["".join(map(chr, tokens(s, "prot"))) for s in sequences]
    for _ in range(10):
        ids = random_batch(corpus, 1000, draw)
        assert ids.shape[1] in (48, 384)
        assert (ids[:, 0] == VOCABULARY.id_of("[CLS]")).all() and (ids[:, -1] == VOCABULARY.id_of("[SEP]")).all()
        assert all(any("".join(map(chr, row)) in s for s in whole) for row in ids[:, 1:-1])


def repeats(seq_type: str, letters: str) -> Corpus:
    return training_corpus([s * 20 for s in random_sequences(40, 5, letters)], [], seq_type)


@pytest.mark.long
def test_training_learns(tmp_path):
    """Repeats can only be predicted with attention, since no residue determines the next one."""
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


def test_an_interrupted_run_resumes(tmp_path, monkeypatch):
    corpora = [repeats("gene", "ACGT"), repeats("prot", RESIDUES)]
    setting = Setting(steps=12, tokens=300, warmup=5)
    monkeypatch.setattr(training, "STEPS_PER_STATE", 8)
    whole = train(corpora, setting, tmp_path / "whole", threads=1)
    ten_steps = iter(range(10))

    def interrupted(*arguments):
        next(ten_steps)
        return random_batch(*arguments)

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(training, "random_batch", interrupted)
        train(corpora, setting, tmp_path / "halves", threads=1)
    assert torch.load(tmp_path / "halves/state.pt", weights_only=True)["step"] == 8
    again = train(corpora, setting, tmp_path / "halves", threads=1)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
    for other, texts in ((replace(setting, seed=2), corpora), (setting, [repeats("gene", "ACG"), corpora[1]])):
        with pytest.raises(RuntimeError, match="was made with other settings or sequences"):
            train(texts, other, tmp_path / "halves")


def test_saved_weights_equal_loaded_ones(tmp_path, packaged):
    weights.save(packaged, tmp_path)
    again = weights.load(tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(packaged.state_dict().values(), again.state_dict().values(), strict=True)
    )
    saved = ROOT / "resources/mini/llm/models/lucaone/mini/checkpoint-step1"
    assert sum(path.stat().st_size for path in saved.iterdir()) < 8e6
    assert sum(p.numel() for p in packaged.encoder.parameters()) > 1e6


@pytest.mark.parametrize(
    "name", ["miRNA family", *(pytest.param(name, marks=pytest.mark.long) for name in ("pfam", "location"))]
)
def test_the_packaged_weights_reproduce_their_evidence(packaged, name):
    (row,) = (row for row in EVIDENCE["masked tokens and neighbours"] if row["set"] == name)
    labelled = demo(name)
    correct, loss = predict_with_network(packaged, labelled)
    assert correct.value == pytest.approx(Share(**row["masked"]["mini"]).value, abs=0.005)
    assert loss == pytest.approx(row["loss"]["mini"], abs=0.005)
    near = neighbours_agree(mean_vectors(packaged.encoder, labelled), labelled.labels)
    assert near.value == pytest.approx(Share(**row["neighbours"]["mini"]).value, abs=0.02)
    counted = neighbours_agree(word_counts(3)(labelled), labelled.labels)
    assert counted.value == pytest.approx(Share(**row["neighbours"]["3-mers"]).value, abs=0.001)


def test_the_three_trainings_differ():
    losses = [[row["loss"]["mini"] for row in each["masked tokens and neighbours"]] for each in TRAININGS.values()]
    assert len(losses) == 3
    assert len(set(map(tuple, losses))) == 3


@each_training
@pytest.mark.parametrize("seq_type", ["gene", "prot"])
def test_masked_tokens_are_predicted_better_than_by_counts(seq_type, training):
    """This holds for all held-out sequences of an alphabet together, not for every small set: see docs/mini.md."""
    found = TRAININGS[training]["masked tokens and neighbours"]
    rows = [row["masked"] for row in found if row["seq_type"] == seq_type]
    together = {
        name: Share(sum(row[name]["right"] for row in rows), sum(row[name]["of"] for row in rows)) for name in rows[0]
    }
    mini = together.pop("mini")
    assert len(together) == 3
    assert all(mini.interval[0] > other.interval[1] for other in together.values())


@each_training
def test_the_loss_is_smaller_than_that_of_counts_except_on_orchids(training):
    """The training sequences contain nothing similar to the orchids' spacers: see docs/mini.md."""
    for row in TRAININGS[training]["masked tokens and neighbours"]:
        mini, *others = row["loss"].values()
        assert len(others) == 3
        assert (mini < min(others)) == (row["set"] != "orchid genus"), row["set"]


@each_training
@pytest.mark.parametrize("name", ["location, test set", "miRNA family"])
def test_neighbours_agree_better_than_untrained_ones(name, training):
    (row,) = (r for r in TRAININGS[training]["masked tokens and neighbours"] if r["set"] == name)
    shares = {name: Share(**share) for name, share in row["neighbours"].items()}
    assert shares["mini"].interval[0] > shares["untrained"].interval[1]


def test_back_translation_and_negatives():
    usage = codon_usage([("ATGAAAAAGAAATAA", "MKKK")])
    assert usage["K"][0] == ["AAA", "AAG"] and usage["K"][1] == pytest.approx([2 / 3, 1 / 3])
    draw = np.random.default_rng(0)
    assert back_translated("MK", usage, draw) in ("ATGAAATAA", "ATGAAGTAA")
    assert back_translated("MW", usage, draw) is None
    assert most_similar_others(["AAAC", "AACA", "WWWW", "WWWY", "AAAC"])[0] == 1


def test_a_head_is_saved_with_the_names_of_lucaonetasks(tmp_path):
    task = {"name": "T", "dataset_type": "gene_protein", "task_type": "binary_class", "model_type": "lucappi2"}
    save_head(Head(PAIR), tmp_path, task, ["0", "1"])
    (path,) = tmp_path.rglob("pytorch_model.bin")
    names = set(torch.load(path, weights_only=True))
    assert {"matrix_pooler_a.U", "matrix_pooler_b.W", "linear_b.0.0.weight", "hidden_layer.bias"} <= names
    assert not any("towers" in name for name in names)
    assert CONFIG.hidden_size == 128
