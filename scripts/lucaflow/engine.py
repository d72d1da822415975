"""Sequences in, arrays out: batches, precision, memory and pooling.

Nothing here changes a value: not the batches, not the device, not how often memory ran short.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucaflow.alphabet import PAD, TOKEN_TYPE, encode
from lucaflow.encoder import Encoder
from lucaflow.errors import ConfigError, DeviceError, EmbeddingError
from lucaflow.sequences import SPECIAL_TOKENS, NormalisedSequence
from lucaflow.settings import EmbeddingOptions
from lucaflow.windows import Window, embedded_range, one_pass

logger = logging.getLogger(__name__)

CPU_TOKENS_PER_BATCH = 4096
MOST_TOKENS_PER_BATCH = 65536
ARITHMETIC = {"float32": torch.float32, "tfloat32": torch.float32, "bfloat16": torch.bfloat16}
# Live at once in a block, in units of the hidden size per token: the residual stream and its norm, q, k, v and their
# rotated copies, the feed-forward layer before and after its activation.
_HIDDEN_SIZES_PER_TOKEN = 18


@dataclass(frozen=True)
class EmbeddedBatch:
    """Results of consecutive sequences: `vectors` by output, each (B, H); `matrices` (rows, H) each, if asked for."""

    start: int
    residues_embedded: np.ndarray
    windows: np.ndarray
    vectors: dict[str, np.ndarray]
    matrices: list[np.ndarray]

    @property
    def stop(self) -> int:
        return self.start + len(self.residues_embedded)


def resolve_device(device: str, precision: str) -> torch.device:
    """Return the device that `device` means here. Raises DeviceError for what this machine cannot do."""
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "compute.device is `cuda`, but torch finds no usable GPU here. Run where there is one, "
            "install a torch build for it, or set compute.device to `cpu` or `auto`."
        )
    chosen = torch.device("cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu")
    if precision == "tfloat32" and chosen.type == "cpu":
        raise DeviceError("embedding.precision is `tfloat32`, which needs a GPU. Set it to `float32` or `bfloat16`.")
    return chosen


def set_arithmetic(precision: str) -> None:
    """Make float32 products what their name says, on GPUs too, or TensorFloat32 where that was asked for."""
    torch.set_float32_matmul_precision("high" if precision == "tfloat32" else "highest")


def token_budget(requested: int | str, device: torch.device, hidden_size: int) -> int:
    """Return how many tokens go through the network at once; `auto` reads the device's free memory."""
    if requested != "auto":
        return int(requested)
    if device.type == "cpu":
        return CPU_TOKENS_PER_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(MOST_TOKENS_PER_BATCH, int(0.8 * free) // (4 * hidden_size * _HIDDEN_SIZES_PER_TOKEN)))


def plan_batches(tokens: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Divide consecutive sequences into batches (start, stop) of at most `budget` tokens, padding included.

    A sequence longer than the budget is a batch of its own.
    """
    batches: list[tuple[int, int]] = []
    start = longest = 0
    for index, count in enumerate(tokens):
        if index > start and max(longest, count) * (index - start + 1) > budget:
            batches.append((start, index))
            start, longest = index, 0
        longest = max(longest, count)
    return [*batches, (start, len(tokens))] if tokens else batches


class Engine:
    """Embeds sequences with one network on one device."""

    def __init__(self, encoder: Encoder, options: EmbeddingOptions, device: torch.device, budget: int) -> None:
        self.encoder = encoder
        self.options = options
        self.device = device
        self.budget = budget
        layers = encoder.config.num_hidden_layers
        if options.layer is not None and options.layer > layers:
            raise ConfigError(f"embedding.layer is {options.layer}, but this checkpoint has layers 0 to {layers}.")

    def window_of(self, sequence: NormalisedSequence) -> Window:
        """Return the window of a sequence. Raises EmbeddingError where the checkpoint cannot take that many."""
        window = one_pass(
            *embedded_range(
                len(sequence.residues),
                embedding_complete=self.options.embedding_complete,
                truncation_seq_length=self.options.truncation_seq_length,
                trunc_type=self.options.trunc_type,
            )
        )
        longest = self.encoder.config.longest_sequence
        if longest is not None and window.length > longest:
            raise EmbeddingError(
                f"the sequence with digest {sequence.digest} has {window.length} residues, but this checkpoint's "
                f"table of positions ends at {longest}. Set embedding.embedding_complete to false and "
                f"embedding.truncation_seq_length to at most {longest}."
            )
        return window

    @torch.inference_mode()
    def embed(self, sequences: Sequence[NormalisedSequence]) -> Iterator[EmbeddedBatch]:
        """Yield the results in order. Sequences of like length should stand together, the longest first."""
        windows = [self.window_of(sequence) for sequence in sequences]
        for start, stop in plan_batches([window.length + SPECIAL_TOKENS for window in windows], self.budget):
            yield from self._embed_or_split(sequences, windows, start, stop)

    def _embed_or_split(
        self, sequences: Sequence[NormalisedSequence], windows: Sequence[Window], start: int, stop: int
    ) -> Iterator[EmbeddedBatch]:
        """Embed a batch; if the device's memory is short, halve it and go on, which changes no value."""
        try:
            result = self._embed_batch(sequences[start:stop], windows[start:stop], start)
        except torch.OutOfMemoryError as error:
            if stop - start == 1:
                length = windows[start].length
                raise DeviceError(
                    f"the sequence with digest {sequences[start].digest} has {length} residues, which do not fit the "
                    "GPU's memory even alone. Use a GPU with more memory, set compute.device to `cpu`, or "
                    "shorten it (embedding.embedding_complete: false)."
                ) from error
            logger.warning("GPU memory is short at %d sequences; halving the batch", stop - start)
            result = None
        if result is not None:
            yield result
            return
        torch.cuda.empty_cache()
        middle = (start + stop) // 2
        yield from self._embed_or_split(sequences, windows, start, middle)
        yield from self._embed_or_split(sequences, windows, middle, stop)

    def _embed_batch(
        self, sequences: Sequence[NormalisedSequence], windows: Sequence[Window], start: int
    ) -> EmbeddedBatch:
        ids, types, lengths = self._tokens(sequences, windows)
        hidden = self.encoder(ids, types, lengths, layer=self.options.layer)
        vectors = self._pool(hidden, lengths)
        sums = vectors.pop("sum")
        finite = torch.isfinite(sums).all(dim=1).cpu().numpy()
        if not finite.all():
            digest = sequences[int(np.flatnonzero(~finite)[0])].digest
            raise EmbeddingError(
                f"the embedding of the sequence with digest {digest} holds values that are not finite."
            )
        return EmbeddedBatch(
            start=start,
            residues_embedded=np.array([window.kept for window in windows], dtype=np.int64),
            windows=np.ones(len(windows), dtype=np.int64),
            vectors={name: vector.cpu().numpy() for name, vector in vectors.items()},
            matrices=self._matrices(hidden, windows) if "matrix" in self.options.outputs else [],
        )

    def _tokens(
        self, sequences: Sequence[NormalisedSequence], windows: Sequence[Window]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids (B, n), types (B, n) and lengths (B,) on the device."""
        rows = [
            encode(sequence.residues[window.start : window.stop], sequence.seq_type)
            for sequence, window in zip(sequences, windows, strict=True)
        ]
        ids = np.full((len(rows), max(map(len, rows))), PAD, dtype=np.int64)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens
        types = np.array([TOKEN_TYPE[sequence.seq_type] for sequence in sequences])
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        token_types = torch.from_numpy(types).to(self.device)[:, None].expand(ids.shape)
        return torch.from_numpy(ids).to(self.device), token_types, lengths

    def _pool(self, hidden: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the pooled vectors asked for, each (B, H) float32, and the `sum` over residues.

        Rows of padding may hold anything; they are replaced, not multiplied away.
        """
        positions = torch.arange(hidden.shape[1], device=self.device)
        residues = (positions > 0) & (positions < lengths[:, None] - 1)
        vectors = {"sum": hidden.masked_fill(~residues[..., None], 0.0).sum(1)}
        if "mean" in self.options.outputs:
            vectors["mean"] = vectors["sum"] / (lengths - SPECIAL_TOKENS)[:, None]
        if "max" in self.options.outputs:
            vectors["max"] = hidden.masked_fill(~residues[..., None], -torch.inf).amax(1)
        if "cls" in self.options.outputs:
            vectors["cls"] = hidden[:, 0]
        return vectors

    def _matrices(self, hidden: Tensor, windows: Sequence[Window]) -> list[np.ndarray]:
        special = self.options.matrix_add_special_token
        first, more = (0, SPECIAL_TOKENS) if special else (1, 0)
        return [
            rows[first : first + window.length + more].cpu().numpy()
            for rows, window in zip(hidden, windows, strict=True)
        ]
