"""Which sequences are the two packaged downstream models trained on, and how accurate are they?"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lucaflow.downstream.networks import Head
from lucaflow.encoders.lucaone import LucaOne
from mini.corpus import Labelled, near_duplicates, proteins, tokens
from mini.evidence import Share, word_counts
from mini.heads import (
    CODON,
    LOCATIONS,
    PAIR,
    SINGLE,
    Example,
    back_translated,
    codon_usage,
    probabilities,
    train_head,
)
from mini.pairs import Gene, chloroplast_genes, most_similar_others
from mini.training import Setting

logger = logging.getLogger(__name__)

# Longer proteins are left out of training: they take memory, and there are few of them.
LONGEST_PROTEIN = 800
# Shorter than LONGEST_PROTEIN, since coding DNA is three times as long as its protein.
LONGEST_BACK_TRANSLATED = 300
# The head, its task, its labels, and its measurements.
Trained = tuple[Head, dict[str, str], Sequence[str], dict[str, Any]]


def locations(encoder: LucaOne, packages: Path, held_out: Sequence[Labelled], setting: Setting) -> Trained:
    """Train the model that predicts a protein's location in the cell, and evaluate it on held-out proteins."""
    draw = np.random.default_rng(setting.seed)
    known = [(s, label) for s, label in proteins(packages)[0] if label in LOCATIONS and len(s) <= LONGEST_PROTEIN]
    avoided = [tokens(s, "prot") for each in held_out if each.seq_type == "prot" for s in each.sequences]
    near = near_duplicates([tokens(sequence, "prot") for sequence, _ in known], avoided, "prot")
    examples: list[Example] = []
    for number, location in enumerate(LOCATIONS):
        chosen = [s for (s, label), is_near in zip(known, near, strict=True) if label == location and not is_near]
        picked = draw.permutation(len(chosen))[: setting.of_each_location]
        examples += [Example(((chosen[index], "prot"),), number) for index in picked]
    head = train_head(SINGLE, examples, encoder, epochs=setting.epochs)
    baseline = _composition_model(examples)
    measured: dict[str, Any] = {"trained on": len(examples)}
    for name in ("location", "location, test set"):
        (labelled,) = (each for each in held_out if each.name == name)
        tested = [
            Example(((s, "prot"),), LOCATIONS.index(label))
            for s, label in zip(labelled.sequences, labelled.labels, strict=True)
        ]
        truth = np.array([example.label for example in tested])
        measured[name] = {
            "head": _scores(truth, probabilities(head, tested, encoder).argmax(1)),
            "logistic regression on composition": _scores(truth, baseline.predict(_composition(tested))),
        }
    task = {"name": "MiniProtLoc", "dataset_type": "protein", "task_type": "multi_class", "model_type": "luca_base"}
    return head, task, LOCATIONS, measured


def _composition(examples: Sequence[Example]) -> np.ndarray:
    sequences = [example.sides[0][0] for example in examples]
    return word_counts(1)(Labelled("", "prot", sequences, [""] * len(sequences)))


def _composition_model(examples: Sequence[Example]) -> Any:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    return model.fit(_composition(examples), [example.label for example in examples])


def _scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    share = Share(int((truth == predicted).sum()), len(truth))
    return {
        "accuracy": accuracy_score(truth, predicted), "interval": share.interval,
        "macro F1": f1_score(truth, predicted, average="macro"), "of": len(truth),
    }  # fmt: skip


def central_dogma(encoder: LucaOne, packages: Path, held_out: Sequence[Gene], setting: Setting) -> Trained:
    """Train the model that predicts whether coding DNA encodes a protein, and evaluate it on held-out genes."""
    pairs = _training_pairs(packages, held_out, setting)
    proteins_of_pairs = [protein for _, protein in pairs]
    draw = np.random.default_rng(setting.seed)
    easy = draw.permutation(len(pairs)).tolist()
    head = train_head(
        PAIR, [*_with_negatives(pairs, most_similar_others(proteins_of_pairs)), *_with_negatives(pairs, easy)[1::2]],
        encoder, epochs=setting.epochs,
    )  # fmt: skip
    tested = [(gene.dna, gene.protein) for gene in held_out]
    measured: dict[str, Any] = {"trained on": len(pairs)}
    for name, others in (
        ("against any other", [*range(1, len(tested)), 0]),
        ("against the most similar other", most_similar_others([protein for _, protein in tested])),
    ):
        examples = _with_negatives(tested, others)
        truth = np.array([example.label for example in examples])
        predicted = probabilities(head, examples, encoder)[:, 0]
        lengths = np.array([[len(sequence) for sequence, _ in example.sides] for example in examples])
        measured[name] = {
            "head": {**_scores(truth, predicted > 0.5), "area under the curve": roc_auc_score(truth, predicted)},
            "lengths that fit": _scores(truth, lengths[:, 0] == CODON * (lengths[:, 1] + 1)),
        }
    task = {
        "name": "MiniCentralDogma", "dataset_type": "gene_protein", "task_type": "binary_class",
        "model_type": "lucappi2",
    }  # fmt: skip
    return head, task, ("0", "1"), measured


def _training_pairs(packages: Path, held_out: Sequence[Gene], setting: Setting) -> list[tuple[str, str]]:
    """Return (DNA, protein) of genes and back-translated proteins, without near duplicates of held-out genes."""
    draw = np.random.default_rng(setting.seed)
    genes = chloroplast_genes(packages)
    near = _near([gene.dna for gene in genes], [gene.dna for gene in held_out], "gene")
    near |= _near([gene.protein for gene in genes], [gene.protein for gene in held_out], "prot")
    pairs = [(gene.dna, gene.protein) for gene, is_near in zip(genes, near, strict=True) if not is_near]
    usage = codon_usage(pairs)
    known = [s for s, _ in proteins(packages)[0] if len(s) <= LONGEST_BACK_TRANSLATED]
    near = _near(known, [gene.protein for gene in held_out], "prot")
    free = [protein for protein, is_near in zip(known, near, strict=True) if not is_near]
    for index in draw.permutation(len(free))[: setting.back_translated]:
        dna = back_translated(free[index], usage, draw)
        if dna:
            pairs.append((dna, free[index]))
    logger.info("%d training pairs", len(pairs))
    return pairs


def _near(sequences: Sequence[str], held_out: Sequence[str], seq_type: str) -> np.ndarray:
    return near_duplicates([tokens(s, seq_type) for s in sequences], [tokens(s, seq_type) for s in held_out], seq_type)


def _with_negatives(pairs: Sequence[tuple[str, str]], others: Sequence[int]) -> list[Example]:
    """Return two examples for each pair: the pair (label 1), then its DNA with another pair's protein (label 0)."""
    examples = []
    for (dna, protein), other in zip(pairs, others, strict=True):
        examples.append(Example(((dna, "gene"), (protein, "prot")), 1))
        examples.append(Example(((dna, "gene"), (pairs[other][1], "prot")), 0))
    return examples
