"""How is the network trained? It predicts masked tokens, 15 % of all, as LucaOne was trained to."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lucaflow.encoders.lucaone import VOCABULARY, EncoderConfig, LucaOne
from mini.corpus import Corpus, with_special_tokens
from mini.network import CONFIG, MaskedLanguageModel
from mini.relatives import Contrast, find_relatives, pairs_batch

logger = logging.getLogger(__name__)

# Lengths in tokens. All sequences of a batch have one of them, so that nothing is padded: a longer sequence is cut at
# random to the next smaller length.
LENGTHS = (48, 96, 192, 384)
SELECTED_SHARE = 0.15
# Shares of the selected tokens that become [MASK], or a random token of their alphabet; the rest stay.
MASKED, REPLACED = 0.8, 0.1
# A run can resume from a state saved every so many steps.
STEPS_PER_STATE = 100
# The first token id of an alphabet, and the id after its last.
# Tokens of a batch of pairs, in halves of those of another batch.
TOKENS_OF_PAIRS = 3
ALPHABETS = {"gene": (5, 9), "prot": (10, 30)}


@dataclass(frozen=True)
class Setting:
    """The settings of a training. tokens: tokens in a batch; proteins: share of batches that contain proteins.

    For the downstream models: epochs: passes over the examples; of_each_location: most proteins of each location;
    back_translated: most proteins with back-translated coding DNA. evaluated: most sequences evaluated of each set.
    bfloat16: whether matrix products of the training are computed in bfloat16. related_from: the step from which
    batches of proteins are pairs of relatives (see `mini.relatives`) and the learning rate is half; None for never.
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
    bfloat16: bool = False
    related_from: int | None = None

    def rate_at(self, step: int) -> float:
        """Return the learning rate: a linear rise during `warmup`, a constant part, a linear fall in the last fifth."""
        rate = self.rate / 2 if self.compares_at(step) else self.rate
        return rate * min(1.0, (step + 1) / self.warmup, (self.steps - step) / (0.2 * self.steps))

    def compares_at(self, step: int) -> bool:
        """Return whether relatives are compared at a step."""
        return self.related_from is not None and step >= self.related_from


def random_batch(corpus: Corpus, tokens: int, draw: np.random.Generator) -> np.ndarray:
    """Return ids (B, n) with [CLS] and [SEP]: sequences drawn in proportion to length, cut at random to one length."""
    lengths = corpus.lengths
    bounds = (*LENGTHS, np.iinfo(np.int64).max)
    fits = [np.flatnonzero((lengths >= low) & (lengths < high)) for low, high in pairwise(bounds)]
    residues = np.array([lengths[chosen].sum() for chosen in fits])
    size = int(draw.choice(len(LENGTHS), p=residues / residues.sum()))
    length, chosen = LENGTHS[size] - 2, fits[size]
    rows = draw.choice(chosen, size=max(1, tokens // (length + 2)), p=lengths[chosen] / lengths[chosen].sum())
    starts = corpus.offsets[rows] + draw.integers(0, lengths[rows] - length + 1)
    return with_special_tokens(corpus.ids[starts[:, None] + np.arange(length)].astype(np.int64))


def mask_tokens(ids: np.ndarray, seq_type: str, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the masked ids (B, n) and whether each token is selected (B, n); [CLS] and [SEP] never are."""
    selected = draw.random(ids.shape) < SELECTED_SHARE
    selected[:, [0, -1]] = False
    fate = draw.random(ids.shape)
    masked = np.where(selected & (fate < MASKED), VOCABULARY.mask_id, ids)
    first, last = ALPHABETS[seq_type]
    others = draw.integers(first, last, ids.shape)
    return np.where(selected & (fate >= MASKED) & (fate < MASKED + REPLACED), others, masked), selected


def loss_of(model: MaskedLanguageModel, ids: np.ndarray, seq_type: str, draw: np.random.Generator) -> Tensor:
    """Return the mean cross-entropy, in nats, of the selected tokens of a batch."""
    return hidden_and_loss(model, ids, seq_type, draw)[1]


def hidden_and_loss(
    model: MaskedLanguageModel, ids: np.ndarray, seq_type: str, draw: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the last hidden states (B, n, H) of a batch with masked tokens, and the loss that `loss_of` returns."""
    masked, selected = mask_tokens(ids, seq_type, draw)
    hidden = model.hidden(torch.from_numpy(masked), seq_type)
    places = torch.from_numpy(selected)
    truth = model.own(torch.from_numpy(ids)[places])
    return hidden, F.cross_entropy(model.logits(hidden[places]).float(), truth)


def step_loss(
    model: MaskedLanguageModel, corpus: Corpus, contrast: Contrast | None, setting: Setting, draw: np.random.Generator
) -> tuple[Tensor, float]:
    """Return the loss of a step, and its part from masked tokens. contrast: where relatives are compared."""
    with torch.autocast("cpu", torch.bfloat16, enabled=setting.bfloat16):
        if contrast is None:
            loss = loss_of(model, random_batch(corpus, setting.tokens, draw), corpus.seq_type, draw)
            return loss, loss.item()
        # Fewer residues say as much of a masked token, but a mean is compared with those of its own batch.
        ids, members = pairs_batch(contrast.relatives, corpus, TOKENS_OF_PAIRS * setting.tokens // 2, draw)
        hidden, loss = hidden_and_loss(model, ids, corpus.seq_type, draw)
    return loss + contrast.loss(hidden, members), loss.item()


def optimizers_of(model: MaskedLanguageModel, decay: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices and AdamW for the other parameters; AdamW alone would need more steps."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim > 1 and "embed" not in name else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def train(
    corpora: Sequence[Corpus],
    setting: Setting,
    folder: Path,
    threads: int = 2,
    config: EncoderConfig = CONFIG,
    kind: type[LucaOne] = LucaOne,
) -> MaskedLanguageModel:
    """Return the trained network. Write the losses and the states that a run resumes from to `folder`.

    corpora: nucleotides and proteins, or proteins alone.

    Raises RuntimeError if the state in `folder` belongs to other settings or sequences.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(setting.seed)
    torch.set_num_threads(threads)
    model = MaskedLanguageModel(config, kind)
    optimizers = optimizers_of(model, setting.decay)
    path = folder / "state.pt"
    inputs = {**asdict(setting), "texts": [sha256(corpus.ids.tobytes()).hexdigest() for corpus in corpora]}
    compares = setting.related_from is not None
    contrast = Contrast(find_relatives(corpora[-1], folder, threads)) if compares else None
    start, losses = resume(path, inputs, model, optimizers, contrast)
    for step in range(start, setting.steps):
        for optimizer, share in zip(optimizers, (1.0, 0.5), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = share * setting.rate_at(step)
        draw = np.random.default_rng([setting.seed, step])
        corpus = corpora[-1] if draw.random() < setting.proteins else corpora[0]
        compared = contrast if corpus.seq_type == "prot" and setting.compares_at(step) else None
        loss, of_masked = step_loss(model, corpus, compared, setting, draw)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        losses.append((step, corpus.seq_type, of_masked))
        if (step + 1) % STEPS_PER_STATE == 0 or step + 1 == setting.steps:
            recent = {kind: [x for _, t, x in losses[-STEPS_PER_STATE:] if t == kind] for kind in ("gene", "prot")}
            logger.info("Step %d: %s", step + 1, {kind: round(float(np.mean(x)), 4) for kind, x in recent.items() if x})
            save_state(path, inputs, model, optimizers, contrast, losses)
            write_losses(losses, folder / "losses.csv")
    return model.eval()


def save_state(
    path: Path,
    inputs: dict[str, Any],
    model: MaskedLanguageModel,
    optimizers: Sequence[torch.optim.Optimizer],
    contrast: Contrast | None,
    losses: Sequence[tuple[int, str, float]],
) -> None:
    """Write the state that `resume` reads."""
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "contrast": contrast.state() if contrast else {},
        "step": losses[-1][0] + 1,
        "losses": losses,
        "of": inputs,
    }
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def resume(
    path: Path,
    inputs: dict[str, Any],
    model: MaskedLanguageModel,
    optimizers: Sequence[torch.optim.Optimizer],
    contrast: Contrast | None,
) -> tuple[int, list[tuple[int, str, float]]]:
    """Load the state of an interrupted training; return its next step and its losses. Without a state: 0 and none."""
    if not path.exists():
        return 0, []
    saved = torch.load(path, weights_only=True)
    if saved["of"] != inputs:
        raise RuntimeError(
            f"{path} was made with other settings or sequences: {saved['of']}, expected {inputs}. "
            f"Delete {path} and run again."
        )
    model.load_state_dict(saved["model"])
    for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    if contrast:
        contrast.resume(saved["contrast"])
    logger.info("Resuming at step %d", saved["step"])
    return saved["step"], saved["losses"]


def write_losses(losses: Sequence[tuple[int, str, float]], path: Path) -> None:
    """Write a CSV file with a row for each step."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("step", "seq_type", "loss"), *losses])
