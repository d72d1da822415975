"""Training by hiding tokens: 15 % of them, as LucaOne was, of which the network has to say what they were."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.encoders.vocabulary import MASK
from mini.corpus import Corpus, with_ends
from mini.network import MaskedLanguageModel

logger = logging.getLogger(__name__)

# Tokens in sequences of one length, so that nothing is padded: a longer one is cut at random to the next of these.
LENGTHS = (48, 96, 192, 384)
MASKED_SHARE = 0.15
# Of the chosen tokens: hidden behind [MASK], replaced by another of their alphabet; the rest stay.
HIDDEN, REPLACED = 0.8, 0.1
# Steps between two states that a run can go on from.
EVERY = 100
ALPHABETS = {"gene": (5, 9), "prot": (10, 30)}


@dataclass(frozen=True)
class Setting:
    """How long and how fast. tokens: in a batch; proteins: the share of batches that hold proteins.

    For the downstream models: epochs, the passes over their examples; of_each_location, proteins at most;
    back_translated, proteins whose coding DNA is made up. evaluated: sequences of each set that are measured at most.
    """

    steps: int = 5000
    tokens: int = 6144
    rate: float = 3e-3
    warmup: int = 200
    decay: float = 0.05
    proteins: float = 0.6
    seed: int = 1
    epochs: int = 8
    of_each_location: int = 900
    back_translated: int = 4000
    evaluated: int = 10_000

    def rate_at(self, step: int) -> float:
        """Return the learning rate: up in a line, constant, and in the last fifth down in a line."""
        return self.rate * min(1.0, (step + 1) / self.warmup, (self.steps - step) / (0.2 * self.steps))


# All that the recipe does, in minutes: for its test. What comes out knows nothing.
SMALL = Setting(steps=30, tokens=1536, warmup=10, epochs=1, of_each_location=20, back_translated=20, evaluated=30)


def random_batch(corpus: Corpus, tokens: int, draw: np.random.Generator) -> np.ndarray:
    """Return (B, n) ids with their ends: sequences drawn by their lengths, cut at a random place to one length."""
    lengths = corpus.lengths
    bounds = (*LENGTHS, np.iinfo(np.int64).max)
    fits = [np.flatnonzero((lengths >= low) & (lengths < high)) for low, high in pairwise(bounds)]
    residues = np.array([lengths[chosen].sum() for chosen in fits])
    size = int(draw.choice(len(LENGTHS), p=residues / residues.sum()))
    length, chosen = LENGTHS[size] - 2, fits[size]
    rows = draw.choice(chosen, size=max(1, tokens // (length + 2)), p=lengths[chosen] / lengths[chosen].sum())
    starts = corpus.offsets[rows] + draw.integers(0, lengths[rows] - length + 1)
    return with_ends(corpus.ids[starts[:, None] + np.arange(length)].astype(np.int64))


def hide(ids: np.ndarray, seq_type: str, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return ids (B, n) with some tokens hidden, and which (B, n) are asked for; never the ends."""
    asked = draw.random(ids.shape) < MASKED_SHARE
    asked[:, [0, -1]] = False
    fate = draw.random(ids.shape)
    hidden = np.where(asked & (fate < HIDDEN), MASK, ids)
    first, last = ALPHABETS[seq_type]
    others = draw.integers(first, last, ids.shape)
    return np.where(asked & (fate >= HIDDEN) & (fate < HIDDEN + REPLACED), others, hidden), asked


def loss_of(model: MaskedLanguageModel, ids: np.ndarray, seq_type: str, draw: np.random.Generator) -> Tensor:
    """Return the mean cross-entropy, in nats, of the tokens that are asked for."""
    shown, asked = hide(ids, seq_type, draw)
    hidden = model.hidden(torch.from_numpy(shown), seq_type)
    places = torch.from_numpy(asked)
    return F.cross_entropy(model.logits(hidden[places]), torch.from_numpy(ids)[places])


def optimizers_of(model: MaskedLanguageModel, decay: float) -> list[torch.optim.Optimizer]:
    """Return what trains the matrices, Muon, and what trains the rest: in fewer steps than AdamW alone."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim > 1 and "embed" not in name else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def train(corpora: Sequence[Corpus], setting: Setting, folder: Path, threads: int = 2) -> MaskedLanguageModel:
    """Return the trained network. `folder` gets the losses, and now and then a state from which a run goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(setting.seed)
    torch.set_num_threads(threads)
    model = MaskedLanguageModel()
    optimizers = optimizers_of(model, setting.decay)
    path = folder / "state.pt"
    of = {**asdict(setting), "texts": [sha256(corpus.ids.tobytes()).hexdigest() for corpus in corpora]}
    start, losses = 0, list[tuple[int, str, float]]()
    if path.exists():
        saved = torch.load(path, weights_only=True)
        if saved["of"] != of:
            raise RuntimeError(f"{path} is of other settings or texts: {saved['of']}, not {of}. Remove it.")
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        start, losses = saved["step"], saved["losses"]
        logger.info("going on at step %d", start)
    for step in range(start, setting.steps):
        for optimizer, share in zip(optimizers, (1.0, 0.5), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = share * setting.rate_at(step)
        draw = np.random.default_rng([setting.seed, step])
        corpus = corpora[int(draw.random() < setting.proteins)]
        loss = loss_of(model, random_batch(corpus, setting.tokens, draw), corpus.seq_type, draw)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append((step, corpus.seq_type, loss.item()))
        if (step + 1) % EVERY == 0 or step + 1 == setting.steps:
            recent = {kind: [x for _, t, x in losses[-EVERY:] if t == kind] for kind in ("gene", "prot")}
            logger.info("step %d: %s", step + 1, {kind: round(float(np.mean(x)), 4) for kind, x in recent.items() if x})
            states = [optimizer.state_dict() for optimizer in optimizers]
            content = {"model": model.state_dict(), "optimizers": states, "step": step + 1, "losses": losses, "of": of}
            torch.save(content, path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)
            write_losses(losses, folder / "losses.csv")
    return model.eval()


def write_losses(losses: Sequence[tuple[int, str, float]], path: Path) -> None:
    """Write a row for each step."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("step", "seq_type", "loss"), *losses])
