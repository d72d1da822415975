"""Sequences in, arrays out: batches, precision, memory and pooling.

Nothing here changes a value: not the batches, not the device, not how often memory ran short.
"""

from __future__ import annotations

import logging
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucaflow.alphabet import CLS_AND_SEP, PAD, TOKEN_TYPE, encode
from lucaflow.encoder import ContactHead, Encoder
from lucaflow.errors import ConfigError, DeviceError, EmbeddingError
from lucaflow.sequences import NormalisedSequence
from lucaflow.settings import EmbeddingOptions
from lucaflow.windows import Window

logger = logging.getLogger(__name__)

CPU_TOKENS_PER_BATCH = 4096
MOST_TOKENS_PER_BATCH = 65536
ARITHMETIC = {"float32": torch.float32, "tfloat32": torch.float32, "bfloat16": torch.bfloat16}
# Live at once in a block, in units of the hidden size per token: the residual stream and its norm, q, k, v and their
# rotated copies, the feed-forward layer before and after its activation.
_HIDDEN_SIZES_PER_TOKEN = 18


@dataclass(frozen=True)
class Piece:
    """Rows (r, w) of a sequence's `matrix` or `contacts`, from `start_row` of `total_rows` on.

    `sequence` counts from the first one given.
    """

    output: str
    sequence: int
    total_rows: int
    start_row: int
    rows: np.ndarray


@dataclass(frozen=True)
class EmbeddedBatch:
    """What a batch brought: pieces of arrays, and the sequences `start` to `stop` that it completed.

    residues_embedded, windows: (B,) of these sequences; vectors: (B, H) of each kind that was asked for.
    """

    start: int
    residues_embedded: np.ndarray
    windows: np.ndarray
    vectors: dict[str, np.ndarray]
    pieces: list[Piece]

    @property
    def stop(self) -> int:
        return self.start + len(self.residues_embedded)


@dataclass(frozen=True)
class Planned:
    """A window of a sequence: `row` is the matrix row of its first kept residue, `residues` counts all of them."""

    sequence: int
    window: Window
    row: int
    residues: int
    last: bool


def plan_windows(sequence: int, windows: Sequence[Window]) -> list[Planned]:
    """Return a sequence's windows with their places in its matrix."""
    first, end = windows[0].kept_start, windows[-1].kept_stop
    return [
        Planned(sequence, window, window.kept_start - first, end - first, window is windows[-1]) for window in windows
    ]


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


def device_name(device: torch.device) -> str:
    """Return what a device is called, as it is recorded."""
    return "cpu" if device.type == "cpu" else f"cuda: {torch.cuda.get_device_name(device)}"


def peak_memory(device: torch.device) -> int:
    """Return the most memory in bytes that was in use so far: the GPU's, else this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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


def pool(hidden: Tensor, windows: Sequence[Window], vectors: Sequence[str]) -> dict[str, np.ndarray]:
    """Reduce hidden states (B, n, H) of windows to (B, H) each: `sum` and `max` over kept residues, `cls`.

    Rows that are not kept, of padding among them, may hold anything: they are replaced, not multiplied away.
    """
    bounds = torch.tensor([(w.kept_start - w.start, w.kept_stop - w.start) for w in windows], device=hidden.device) + 1
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    left_out = ((positions < bounds[:, :1]) | (positions >= bounds[:, 1:]))[..., None]
    pooled = {"sum": hidden.masked_fill(left_out, 0.0).sum(1)}
    if "max" in vectors:
        pooled["max"] = hidden.masked_fill(left_out, -torch.inf).amax(1)
    if "cls" in vectors:
        pooled["cls"] = hidden[:, 0]
    return {name: values.cpu().numpy() for name, values in pooled.items()}


class Pooling:
    """Puts the windows of sequences together, one after another; holds the sequence that is not complete yet."""

    def __init__(self, vectors: Sequence[str]) -> None:
        self.vectors = vectors
        self.completed = 0
        self._open: dict[str, np.ndarray] = {}
        self._windows = 0

    def add(self, planned: Sequence[Planned], pooled: dict[str, np.ndarray], pieces: list[Piece]) -> EmbeddedBatch:
        """Take the pooled windows (B, H) of a batch; return it with the vectors of the sequences it completed."""
        start = self.completed
        windows: list[int] = []
        residues: list[int] = []
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in self.vectors}
        for index, item in enumerate(planned):
            self._take({name: values[index] for name, values in pooled.items()}, item.window)
            if item.last:
                windows.append(self._windows)
                residues.append(item.residues)
                self._open["mean"] = self._open["sum"] / np.float32(item.residues)
                for name in self.vectors:
                    vectors[name].append(self._open[name])
                self._open, self._windows = {}, 0
        self.completed += len(windows)
        return EmbeddedBatch(
            start,
            np.array(residues, dtype=np.int64),
            np.array(windows, dtype=np.int64),
            {name: np.array(values).reshape(-1, pooled["sum"].shape[1]) for name, values in vectors.items()},
            pieces,
        )

    def _take(self, values: dict[str, np.ndarray], window: Window) -> None:
        if not self._open:
            self._open = {name: value for name, value in values.items() if name != "cls"}
        else:
            self._open["sum"] = self._open["sum"] + values["sum"]
            if "max" in values:
                self._open["max"] = np.maximum(self._open["max"], values["max"])
        if window.gives_cls and "cls" in values:
            self._open["cls"] = values["cls"]
        self._windows += 1


class Engine:
    """Embeds sequences with one network on one device. `contact_head` is needed where contacts are asked for."""

    def __init__(
        self,
        encoder: Encoder,
        options: EmbeddingOptions,
        device: torch.device,
        budget: int,
        contact_head: ContactHead | None = None,
    ) -> None:
        self.encoder = encoder
        self.options = options
        self.device = device
        self.contact_head = contact_head
        # Attention maps grow with the square of the length: with contacts, each sequence goes alone.
        self.budget = 1 if contact_head else budget
        self.windowing = options.windowing
        layers = encoder.config.num_hidden_layers
        if options.layer is not None and options.layer > layers:
            raise ConfigError(f"embedding.layer is {options.layer}, but this checkpoint has layers 0 to {layers}.")

    def _way_out(self, longest: int | None = None) -> str:
        """Say what to set for a sequence that is too long."""
        most = f" to at most {longest}" if longest else ""
        if self.contact_head:
            return (
                f"Set embedding.contacts_max_length{most} and leave the record out, or shorten it (embedding_complete)"
            )
        return f"Set embedding.embedding_fixed_len_a_time{most}, or shorten it (embedding.embedding_complete: false)"

    def plan(self, sequences: Sequence[NormalisedSequence]) -> list[Planned]:
        """Return the windows of all sequences, in order. Raises EmbeddingError where the checkpoint cannot take one."""
        longest = self.encoder.config.longest_sequence
        planned = []
        for index, sequence in enumerate(sequences):
            windows = self.windowing.windows(len(sequence.residues))
            if self.contact_head and len(windows) > 1:
                raise EmbeddingError(f"{sequence.digest} is embedded in windows, which cannot give contacts.")
            if longest is not None and max(window.length for window in windows) > longest:
                raise EmbeddingError(
                    f"the sequence with digest {sequence.digest} (records.tsv has its id) has {len(sequence.residues)} "
                    f"residues, but this checkpoint's table of positions ends at {longest}. {self._way_out(longest)}."
                )
            planned += plan_windows(index, windows)
        return planned

    @torch.inference_mode()
    def embed(self, sequences: Sequence[NormalisedSequence]) -> Iterator[EmbeddedBatch]:
        """Yield the results in order. Sequences of like length should stand together, the longest first."""
        planned = self.plan(sequences)
        pooling = Pooling(self.options.vectors)
        for start, stop in plan_batches([item.window.length + CLS_AND_SEP for item in planned], self.budget):
            yield from self._embed_or_split(sequences, planned[start:stop], pooling)

    def matrices(self, sequences: Sequence[NormalisedSequence]) -> list[np.ndarray]:
        """Return the whole matrices (rows, H) of a few sequences, which the options must ask for."""
        found: dict[int, np.ndarray] = {}
        for batch in self.embed(sequences):
            for piece in batch.pieces:
                shape = (piece.total_rows, piece.rows.shape[1])
                matrix = found.setdefault(piece.sequence, np.empty(shape, dtype=np.float32))
                matrix[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        return [found[index] for index in range(len(sequences))]

    def _embed_or_split(
        self, sequences: Sequence[NormalisedSequence], planned: Sequence[Planned], pooling: Pooling
    ) -> Iterator[EmbeddedBatch]:
        """Embed a batch; if the device's memory is short, halve it and go on, which changes no value."""
        try:
            hidden, pieces = self._hidden(sequences, planned)
            pooled = pool(hidden, [item.window for item in planned], self.options.vectors)
            if "matrix" in self.options.outputs:
                pieces += self._matrix_pieces(hidden, planned)
        except torch.OutOfMemoryError as error:
            if len(planned) == 1:
                item = planned[0]
                raise DeviceError(
                    f"{item.window.length} residues of the sequence with digest {sequences[item.sequence].digest} do "
                    "not fit the GPU's memory even alone. Use a GPU with more memory, set compute.device to `cpu`, or: "
                    f"{self._way_out()}."
                ) from error
            logger.warning("GPU memory is short at %d sequences; halving the batch", len(planned))
        else:
            finite = np.isfinite(pooled["sum"]).all(axis=1)
            if not finite.all():
                digest = sequences[planned[int(np.argmin(finite))].sequence].digest
                raise EmbeddingError(f"the embedding of the sequence with digest {digest} is not finite.")
            yield pooling.add(planned, pooled, pieces)
            return
        torch.cuda.empty_cache()
        middle = len(planned) // 2
        yield from self._embed_or_split(sequences, planned[:middle], pooling)
        yield from self._embed_or_split(sequences, planned[middle:], pooling)

    def _hidden(
        self, sequences: Sequence[NormalisedSequence], planned: Sequence[Planned]
    ) -> tuple[Tensor, list[Piece]]:
        """Return the hidden states (B, n, H) of a batch of windows, and its contacts where they were asked for."""
        chosen = [sequences[item.sequence] for item in planned]
        encoded = [
            encode(sequence.residues[item.window.start : item.window.stop], sequence.seq_type)
            for sequence, item in zip(chosen, planned, strict=True)
        ]
        padded = np.full((len(encoded), max(map(len, encoded))), PAD, dtype=np.int64)
        for row, tokens in zip(padded, encoded, strict=True):
            row[: len(tokens)] = tokens
        ids = torch.from_numpy(padded).to(self.device)
        types = torch.tensor([TOKEN_TYPE[sequence.seq_type] for sequence in chosen], device=self.device)
        types = types[:, None].expand(ids.shape)
        lengths = torch.tensor([len(tokens) for tokens in encoded], device=self.device)
        if self.contact_head is None:
            return self.encoder(ids, types, lengths, layer=self.options.layer), []
        (item,) = planned
        hidden, contacts = self.contact_head(self.encoder, ids, types, self.options.layer)
        return hidden, [Piece("contacts", item.sequence, item.residues, 0, contacts.cpu().numpy())]

    def _matrix_pieces(self, hidden: Tensor, planned: Sequence[Planned]) -> list[Piece]:
        """Return the rows of matrices that a batch gives: kept residues, and special rows if they were asked for."""
        pieces = []
        special = self.options.matrix_add_special_token
        for states, item in zip(hidden, planned, strict=True):
            window = item.window
            kept = slice(1 + window.kept_start - window.start, 1 + window.kept_stop - window.start)
            rows = [(item.row + special, kept)]
            if special and window.gives_cls:
                rows.append((0, slice(0, 1)))
            if special and window.gives_sep:
                rows.append((item.residues + 1, slice(window.length + 1, window.length + 2)))
            total = item.residues + CLS_AND_SEP * special
            pieces += [Piece("matrix", item.sequence, total, start, states[part].cpu().numpy()) for start, part in rows]
        return pieces
