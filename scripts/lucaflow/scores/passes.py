"""Passes of a language model over one sequence, which differ in few tokens, and of which few rows are read.

Passes of equal length go through the encoder together, packed as in embedding; the head computes the rows that are
read and no others. Which passes go together depends on the length and the budget alone, and changes values by rounding
only.

Letters in shapes: n tokens between the special ones (residues, or byte pairs), V tokens of the vocabulary, H hidden
size, P passes of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lucaflow.checkpoints.loading import load_encoder, load_language_model_head
from lucaflow.encoders.arithmetic import arithmetic
from lucaflow.encoders.byte_pairs import BytePairs
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.language_model import LanguageModelHead
from lucaflow.encoders.pass_plan import to_device
from lucaflow.engine.devices import (
    DTYPE_OF_PRECISION,
    bytes_per_token,
    is_out_of_memory,
    on_device,
    require_precision,
    resolve_device,
    token_budget,
)
from lucaflow.engine.gpus import take_gpu
from lucaflow.errors import CheckpointError, DeviceError, EmbeddingError

logger = logging.getLogger(__name__)

OF_RESIDUES = (
    "scores of residues and variants need a model that reads single residues, but a token of this one is one or "
    "several letters, and another letter makes other tokens. Its likelihoods are by token; ask for `likelihood` alone."
)


@dataclass(frozen=True)
class Tokens:
    """A sequence as the encoder reads it. ids: (n + 2,), with the special ones; kind: the token type of all of them."""

    ids: np.ndarray
    kind: int

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids) - 2


@dataclass(frozen=True)
class Pass:
    """A pass over the tokens of a sequence. Positions count its n tokens from 0.

    changed: the other token at each changed position; read: the positions whose logits are read; None for all of them.
    """

    changed: tuple[tuple[int, int], ...] = ()
    read: tuple[int, ...] | None = None

    def rows(self, length: int) -> Sequence[int]:
        return range(length) if self.read is None else self.read


class Batch(NamedTuple):
    """Results of passes that went together: rows of the passes `start` to `stop`, or of what else a caller counts."""

    start: int
    stop: int
    rows: np.ndarray


class LanguageModel:
    """An encoder with the head of its language model, which computes `budget` tokens at once on the encoder's device.

    precision: of the encoder's matrix products, as `embedding.precision`; the head computes in float32.
    """

    def __init__(self, encoder: Encoder, head: LanguageModelHead, budget: int, precision: str = "float32") -> None:
        self.encoder = encoder
        self.head = head
        self.budget = budget
        self.precision = precision

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        tokens_per_batch: int | str = "auto",
        precision: str = "float32",
        folder: Path | None = None,
    ) -> LanguageModel:
        """Return the language model of a loaded encoder. folder: of its checkpoint, if it was not loaded from there.

        Raises CheckpointError with the reason if the checkpoint has no head.
        """
        place = folder or encoder.folder
        if place is None:
            raise CheckpointError("the encoder was not loaded from a converted checkpoint; use load_encoder")
        head = load_language_model_head(place, encoder.device)
        with arithmetic(precision):
            budget = token_budget(tokens_per_batch, encoder.device, _measured(encoder, tokens_per_batch))
        return cls(encoder, head, budget, precision)

    @classmethod
    def load(
        cls, checkpoint: Path, device: str = "auto", precision: str = "float32", tokens_per_batch: int | str = "auto"
    ) -> LanguageModel:
        """Load a converted checkpoint for scores. The other arguments are as the configuration has them.

        device: `compute.device`, of which one GPU is taken; precision: `embedding.precision`; tokens_per_batch:
        `compute.tokens_per_batch`. Raises DeviceError, and CheckpointError.
        """
        chosen = take_gpu(resolve_device(device, precision))
        require_precision(chosen, precision)
        encoder = load_encoder(checkpoint, chosen, DTYPE_OF_PRECISION[precision])
        return cls.of(encoder, tokens_per_batch, precision, checkpoint)

    def tokens(self, residues: str, seq_type: str) -> Tokens:
        """Return the tokens of a normalised sequence.

        Raises EmbeddingError for a type that the encoder does not read, or for a sequence that is too long for it.
        """
        vocabulary, longest = self.encoder.vocabulary, self.encoder.config.longest_sequence
        if seq_type not in vocabulary.seq_types:
            readable = " and ".join(vocabulary.seq_types)
            raise EmbeddingError(f"the type of the sequence is `{seq_type}`, but this checkpoint reads only {readable}")
        if longest is not None and len(residues) > longest:
            raise EmbeddingError(
                f"the sequence has {len(residues)} residues, but this checkpoint's position table allows {longest}"
            )
        return Tokens(vocabulary.encode(residues, seq_type), vocabulary.token_types[seq_type])

    @property
    def mask_id(self) -> int:
        return self.encoder.vocabulary.mask_id

    @property
    def reads_residues(self) -> bool:
        """Whether each token is one residue, and not a byte pair."""
        return not isinstance(self.encoder.vocabulary, BytePairs)

    def batch_size(self, tokens: Tokens) -> int:
        """Return how many passes over a sequence go through the encoder together."""
        return max(1, self.budget // len(tokens.ids))

    def logits(self, tokens: Tokens, passes: Sequence[Pass], start: int = 0) -> Iterator[Batch]:
        """Yield the logits of each batch of passes, from number `start` on.

        They are (R, V) float32: the rows that the passes of the batch read, one pass after the other.
        If memory is too small for a batch, the budget is halved. Raises DeviceError if a single pass does not fit, and
        EmbeddingError if a value is not finite.
        """
        first = start
        before: tuple[int, int, Tensor] | None = None
        while first < len(passes):
            batch = passes[first : first + self.batch_size(tokens)]
            try:
                with arithmetic(self.precision), on_device(self.encoder.device):
                    launched = self._launch(tokens, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                launched = None
                self._halve(tokens, len(batch), error)
            if before is not None:
                yield Batch(before[0], before[1], _finite(before[2]))
                before = None
            if launched is None:
                if self.encoder.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            # A GPU computes this batch while the results of the one before are used.
            before = first, first + len(batch), launched
            first += len(batch)
        if before is not None:
            yield Batch(before[0], before[1], _finite(before[2]))

    @torch.inference_mode()
    def _launch(self, tokens: Tokens, batch: Sequence[Pass]) -> Tensor:
        """Start computing a batch; return the logits (R, V) of the rows that are read, on the device."""
        size, length = len(batch), len(tokens.ids)
        ids = np.tile(tokens.ids, (size, 1))  # (P, n + 2)
        for number, one in enumerate(batch):
            for position, token in one.changed:
                ids[number, position + 1] = token
        rows = np.concatenate(
            [np.asarray(one.rows(len(tokens))) + 1 + number * length for number, one in enumerate(batch)]
        )  # (R,)
        device = self.encoder.device
        packed, read = (to_device(torch.from_numpy(array), device) for array in (ids.reshape(-1), rows))
        types = torch.full_like(packed, tokens.kind)
        hidden = self.encoder(packed, types, [length] * size)  # (P (n + 2), H)
        return self.head(hidden[read])

    def _halve(self, tokens: Tokens, passes: int, error: Exception) -> None:
        if passes == 1:
            raise DeviceError(
                f"one pass over {len(tokens)} residues does not fit in memory ({str(error).splitlines()[0]}). Use a "
                "machine or a GPU with more memory, or shorten the sequence."
            ) from error
        logger.warning("not enough memory for %d passes of %d tokens; halving the batch", passes, len(tokens.ids))
        self.budget = passes * len(tokens.ids) // 2


def _finite(logits: Tensor) -> np.ndarray:
    found = logits.cpu().numpy()
    if not np.isfinite(found).all():
        raise EmbeddingError(
            "the logits of a sequence are not finite. Set embedding.precision to `float32`. If it is that already, the "
            "checkpoint is faulty."
        )
    return found


def _measured(encoder: Encoder, tokens_per_batch: int | str) -> int | None:
    return bytes_per_token(encoder, encoder.device) if tokens_per_batch == "auto" else None
