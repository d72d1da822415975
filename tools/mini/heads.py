"""How are downstream models trained on embeddings of mini and saved in LucaOneTasks' layout?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.downstream.networks import Head
from lucaflow.downstream.structure import HeadStructure
from lucaflow.encoders.lucaone import LucaOne
from mini.network import CONFIG, residue_matrix

logger = logging.getLogger(__name__)

LOCATIONS = ("Membrane", "Mitochondrion", "Nucleus", "Secreted")
CODON = 3
STOP = "*"
SINGLE = HeadStructure(
    inputs=(CONFIG.hidden_size,),
    sides=1,
    encoder=None,
    pooling="value_attention",
    connected=(),
    connected_activation="gelu",
    hidden=64,
    hidden_activation="gelu",
    outputs=len(LOCATIONS),
    squashing="softmax",
)
PAIR = HeadStructure(
    inputs=(CONFIG.hidden_size, CONFIG.hidden_size),
    sides=2,
    encoder=None,
    pooling="value_attention",
    connected=(64,),
    connected_activation="gelu",
    hidden=64,
    hidden_activation="gelu",
    outputs=1,
    squashing="sigmoid",
)


@dataclass(frozen=True)
class Example:
    """The (sequence, seq_type) of each side, and a class; for a pair, 0 or 1."""

    sides: tuple[tuple[str, str], ...]
    label: int


def matrices_of(encoder: LucaOne, sequences: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Tensor]:
    """Return the matrix (L, H) of each distinct sequence, without special tokens, in float16 to save memory."""
    return {side: residue_matrix(encoder, *side).half() for side in dict.fromkeys(sequences)}


def logits(head: Head, examples: Sequence[Example], matrices: Mapping[tuple[str, str], Tensor]) -> Tensor:
    """Return the logits (B, C) of a batch."""
    vectors = []
    for side in range(head.structure.sides):
        parts = [matrices[example.sides[side]] for example in examples]
        vectors.append(head.vectors(side, torch.cat(parts).float(), [len(part) for part in parts]))
    return head.logits(*vectors)


def train_head(
    structure: HeadStructure, examples: Sequence[Example], encoder: LucaOne, *, epochs: int, seed: int = 1
) -> Head:
    """Return a head trained on batches of 32 examples. All classes have the same weight in the loss."""
    torch.manual_seed(seed)
    head = Head(structure)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5 / 2 if parameter.ndim > 1 else 0.0)
    matrices = matrices_of(encoder, (side for example in examples for side in example.sides))
    labels = np.array([example.label for example in examples])
    weights = torch.from_numpy(len(labels) / (np.bincount(labels) * len(np.unique(labels)))).float()
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=0.05)
    draw = np.random.default_rng(seed)
    steps = epochs * -(-len(examples) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for epoch in range(epochs):
        losses = []
        for part in np.array_split(draw.permutation(len(examples)), -(-len(examples) // 32)):
            batch = [examples[index] for index in part]
            found, truth = logits(head, batch, matrices), torch.from_numpy(labels[part])
            if structure.outputs == 1:
                loss = F.binary_cross_entropy_with_logits(found[:, 0], truth.float(), weight=weights[truth])
            else:
                loss = F.cross_entropy(found, truth, weight=weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        logger.info("Epoch %d: loss %.4f", epoch + 1, np.mean(losses))
    return head.eval()


@torch.inference_mode()
def probabilities(head: Head, examples: Sequence[Example], encoder: LucaOne) -> np.ndarray:
    """Return the head's probabilities (N, C) for examples."""
    matrices = matrices_of(encoder, (side for example in examples for side in example.sides))
    return torch.cat([head.predictions(logits(head, [example], matrices)) for example in examples]).numpy()


def codon_usage(genes: Iterable[tuple[str, str]]) -> dict[str, tuple[list[str], np.ndarray]]:
    """Return for each residue its codons and their shares in genes. genes: (coding DNA, protein)."""
    counts: dict[str, dict[str, int]] = {}
    for dna, protein in genes:
        for place, residue in enumerate(protein + STOP):
            codon = dna[CODON * place : CODON * (place + 1)]
            if len(codon) == CODON:
                counts.setdefault(residue, {}).setdefault(codon, 0)
                counts[residue][codon] += 1
    return {
        residue: (list(codons), np.array(list(codons.values())) / sum(codons.values()))
        for residue, codons in counts.items()
    }


def back_translated(
    protein: str, usage: Mapping[str, tuple[list[str], np.ndarray]], draw: np.random.Generator
) -> str | None:
    """Return coding DNA of a protein with a stop codon, codons drawn by `usage`; None if a residue has no codon."""
    if not set(protein) <= usage.keys():
        return None
    return "".join(
        str(draw.choice(codons, p=shares)) for codons, shares in (usage[residue] for residue in protein + STOP)
    )


def save_head(head: Head, root: Path, task: Mapping[str, str], labels: Sequence[str]) -> None:
    """Write a head below `root` in LucaOneTasks' layout. task: name, dataset_type, task_type and model_type."""
    place = "{name}/{dataset_type}/{task_type}/{model_type}/matrix/20260101000000".format(**task)
    folder, logs = root / "models" / place / "checkpoint-1", root / "logs" / place
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    sides = ("_a", "_b") if head.structure.sides > 1 else ("",)
    published = {f"towers.{number}.pooler.": f"matrix_pooler{side}." for number, side in enumerate(sides)}
    published |= {f"towers.{number}.connected.0.": f"linear{side}.0.0." for number, side in enumerate(sides)}
    state = {}
    for name, tensor in head.state_dict().items():
        prefix = next((start for start in published if name.startswith(start)), "")
        state[published.get(prefix, "") + name.removeprefix(prefix)] = tensor.clone()
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(CONFIGURATION, indent=2) + "\n")
    inputs = {"dataset_name": task["name"], "input_mode": "pair" if sides[1:] else "single"}
    arguments = {**ARGUMENTS, **inputs, "output_mode": task["task_type"]}
    (logs / "logs.txt").write_text(json.dumps(arguments, sort_keys=True) + "\n")
    (logs / "label.txt").write_text("\n".join(["label", *labels]) + "\n")


# The options that LucaOneTasks saves with a model that reads whole embeddings of mini.
ARGUMENTS = {
    "alphabet": "gene_prot",
    "classifier_activate_func": "gelu",
    "embedding_complete": False,
    "input_type": "matrix",
    "llm_dirpath": "../llm/models/lucaone/mini/checkpoint-step1",
    "llm_step": "1",
    "llm_version": "mini",
    "matrix_add_special_token": False,
    "matrix_encoder": False,
    "matrix_max_length": 4096,
    "matrix_pooling_type": "value_attention",
    "not_append_eos": False,
    "not_prepend_bos": False,
    "seq_max_length": 4096,
    "trunc_type": "right",
}
CONFIGURATION = {
    "classifier_activate_func": "gelu",
    "fc_activate_func": "gelu",
    "matrix_pooling_type": "value_attention",
    "use_luca_layer_norm_v2": True,
}
