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
from mini.card import read_later, read_repeats
from mini.corpus import Corpus, Labelled, near_duplicates, normalised, tokens, training_corpus, with_special_tokens
from mini.evidence import Share, mean_vectors, neighbours_agree, predict_with_network, word_counts
from mini.heads import PAIR, back_translated, codon_usage, save_head
from mini.network import CONFIG
from mini.pairs import most_similar_others
from mini.recipes import RECIPES
from mini.relatives import TEMPERATURE, Contrast, Relatives, find_relatives, pairs_batch
from mini.training import MASKED, REPLACED, SELECTED_SHARE, Setting, loss_of, mask_tokens, random_batch, train

EVIDENCE = json.loads((ROOT / "resources/mini/evidence.json").read_text())
# The statements of docs/mini.md hold for each training in its tables.
TRAININGS = {"packaged": EVIDENCE, **read_repeats(ROOT / "resources")}
each_training = pytest.mark.parametrize("training", TRAININGS)
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
DEMO = {"pfam": "pfam_domains.csv", "location": "subcellular.csv", "miRNA family": "mirna_hairpins.csv"}


@pytest.fixture(scope="module")
def packaged():
    return weights.load(RECIPES["mini-1"], ROOT / "resources")


def demo(name: str) -> Labelled:
    (row,) = (row for row in EVIDENCE["masked tokens and neighbours"] if row["set"] == name)
    with (ROOT / "resources/demo" / DEMO[name]).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    sequences = [normalised(each["sequence"], row["seq_type"]) for each in rows]
    return Labelled(name, row["seq_type"], sequences, [each["label"] for each in rows])


@pytest.mark.parametrize(
    ("name", "seq_type", "residues"),
    [("mini-1", "gene", "ACGT"), ("mini-1", "prot", RESIDUES), ("mini-esm2", "prot", f"{RESIDUES}J")],
)
def test_the_trained_network_equals_the_encoder(name, seq_type, residues):
    torch.manual_seed(0)
    model = RECIPES[name].network()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    sequences = random_sequences(3, 48, residues)
    ids = with_special_tokens(np.stack([tokens(sequence, seq_type) for sequence in sequences]).astype(np.int64))
    trained = model.hidden(torch.from_numpy(ids), seq_type).detach()
    own = np.concatenate([model.encoder.vocabulary.encode(sequence, seq_type) for sequence in sequences])
    assert (model.own(torch.from_numpy(ids)).numpy().ravel() == own).all()
    with torch.inference_mode():
        types = torch.full((150,), model.encoder.vocabulary.token_types[seq_type])
        embedded = model.encoder(torch.from_numpy(own), types, [50] * 3).view(3, 50, -1)
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


def families_of_three(count: int = 8) -> list[str]:
    """Return proteins of 240 residues, of which three in a row share nine of ten residues with a fourth."""
    draw = np.random.default_rng(4)
    return [
        "".join(draw.choice(list(RESIDUES)) if draw.random() < 0.1 else x for x in origin)
        for origin in random_sequences(count, 240, RESIDUES, seed=3)
        for _ in range(3)
    ]


def test_pairs_are_pieces_of_relatives(tmp_path):
    corpus = training_corpus(families_of_three(), [], "prot")
    relatives = find_relatives(corpus, tmp_path, threads=1)
    assert {tuple(sorted(pair)) for pair in (relatives.pairs // 3).tolist()} == {(n, n) for n in range(8)}
    assert (relatives.pairs[:, 0] != relatives.pairs[:, 1]).all() and len(relatives.pairs) == 8 * 6
    for seed in range(5):
        ids, members = pairs_batch(relatives, corpus, 1200, np.random.default_rng(seed))
        first, second = np.split(ids, 2)
        assert ids.shape[1] - 2 in (94, 190)
        # Pieces of relatives are cut at the same place, but for a shift of up to an eighth to either side.
        for a, b in zip(first[:, 1:-1], second[:, 1:-1], strict=True):
            shifts = range(-len(a) // 4 - 1, len(a) // 4 + 2)
            same = [(a[max(0, s) : len(a) + s] == b[max(0, -s) : len(b) - s]).mean() for s in shifts]
            assert max(same) > 0.6
        of_first, of_second = np.split(members, 2)
        assert (of_first // 3 == of_second // 3).all() and (of_first != of_second).all()


def test_relatives_are_told_from_others_alone():
    """A further relative of a protein is neither right nor wrong."""
    found = np.array([(0, 1, 0.5, 60, 1, 60, 1, 60), (1, 0, 0.5, 60, 1, 60, 1, 60), (0, 4, 0.5, 60, 1, 60, 1, 60)])
    contrast = Contrast(Relatives.of(found, count=6))
    hidden = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(0))
    contrast.loss(hidden[[0, 1]], np.array([4, 5]))
    members = np.array([0, 2, 1, 3])
    again = Contrast(contrast.relatives)
    again.resume(contrast.state())
    means = torch.cat([hidden, hidden[[0, 1]]])[:, 1:-1].mean(1)
    vectors = means - means.mean(0)
    cosine = (
        (vectors / vectors.norm(dim=1, keepdim=True)) @ (vectors / vectors.norm(dim=1, keepdim=True)).T / TEMPERATURE
    )
    expected = []
    for row, (partner, others) in enumerate([(2, [1, 3, 5]), (3, [0, 2, 4, 5]), (0, [1, 3, 4, 5]), (1, [0, 2, 4, 5])]):
        expected.append(torch.logsumexp(cosine[row, [partner, *others]], 0) - cosine[row, partner])
    for each in (contrast, again):
        assert each.loss(hidden, members) == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


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
    corpora = [repeats("gene", "ACGT"), training_corpus(families_of_three(), [], "prot")]
    setting = Setting(steps=12, tokens=600, warmup=5, related_from=6)
    monkeypatch.setattr(training, "STEPS_PER_STATE", 8)
    whole = train(corpora, setting, tmp_path / "whole", threads=1)
    ten_steps = iter(range(10))

    def interrupted(*arguments):
        next(ten_steps)
        return mask_tokens(*arguments)

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(training, "mask_tokens", interrupted)
        train(corpora, setting, tmp_path / "halves", threads=1)
    assert torch.load(tmp_path / "halves/state.pt", weights_only=True)["step"] == 8
    again = train(corpora, setting, tmp_path / "halves", threads=1)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))
    for other, texts in ((replace(setting, seed=2), corpora), (setting, [repeats("gene", "ACG"), corpora[1]])):
        with pytest.raises(RuntimeError, match="was made with other settings or sequences"):
            train(texts, other, tmp_path / "halves")


@pytest.mark.parametrize("name", RECIPES)
def test_saved_weights_equal_loaded_ones(tmp_path, name):
    recipe = RECIPES[name]
    packaged = weights.load(recipe, ROOT / "resources")
    weights.save(packaged, recipe, tmp_path / "resources")
    again = weights.load(recipe, tmp_path / "resources")
    assert all(
        torch.equal(a, b) for a, b in zip(packaged.state_dict().values(), again.state_dict().values(), strict=True)
    )
    saved = weights.folder_of(recipe, ROOT / "resources")
    assert sum(path.stat().st_size for path in saved.iterdir() if path.suffix in (".pth", ".safetensors")) < 20e6


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


def test_neighbours_by_the_small_esm2_agree_more_often_than_by_composition():
    """On every held-out set of proteins; its language model is no better than counts: see docs/mini.md."""
    ((*rows,),) = read_later(ROOT / "resources")
    assert [row["set"] for row in rows] == ["pfam", "location", "location, test set", "families"]
    for row in rows:
        shares = {name: Share(**share).value for name, share in row["neighbours"].items()}
        assert shares["mini-esm2"] > max(shares["composition"], shares["mini-1"], shares["untrained"])
        assert row["loss"]["mini-1"] < row["loss"]["commonest"] < row["loss"]["mini-esm2"]
    assert (
        Share(**rows[2]["neighbours"]["mini-esm2"]).interval[0]
        > Share(**rows[2]["neighbours"]["composition"]).interval[1]
    )


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
