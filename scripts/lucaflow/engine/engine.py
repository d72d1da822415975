"""Embed sequences: from residues to arrays of vectors, matrices and contacts.

Batches, the device, and a budget halved for lack of memory change values only by float rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from lucaflow.encoders.byte_pairs import BytePairs
from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.pass_plan import to_device
from lucaflow.engine.batches import PlannedWindow, plan_batches, plan_byte_pairs, plan_windows, tokenise
from lucaflow.engine.devices import (
    bytes_per_token,
    free_memory,
    is_out_of_memory,
    lacks_main_memory,
    on_device,
    token_budget,
)
from lucaflow.engine.host_copies import HostCopies, recorded_event
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch, Piece, Pooling, matrix_pieces, pool
from lucaflow.errors import DeviceError, EmbeddingError
from lucaflow.files.space import human_bytes
from lucaflow.records.sequences import NormalisedSequence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LaunchedBatch:
    """A batch that a device is computing. A GPU has computed its results when the event `ready` has occurred.

    pooled: (B, H) by name; row_sums: (T,) of the hidden states; hidden: (T, H); contacts: (L, L); ready: None on a
    processor, where results are ready. The results are in the device's memory.
    """

    planned: Sequence[PlannedWindow]
    pooled: dict[str, Tensor]
    row_sums: Tensor
    hidden: Tensor | None
    contacts: Tensor | None
    ready: torch.cuda.Event | None


class Engine:
    """Embeds sequences with one network on one device, `budget` tokens at once. A lack of memory halves the budget.

    contact_head: needed if contacts are requested; bytes_per_token: as measured on this GPU, for an error message.
    """

    def __init__(
        self,
        encoder: Encoder,
        options: EmbeddingOptions,
        device: torch.device,
        budget: int,
        contact_head: ContactHead | None = None,
        bytes_per_token: int | None = None,
    ) -> None:
        self.encoder = encoder
        self.options = options
        self.device = device
        self.contact_head = contact_head
        self.bytes_per_token = bytes_per_token
        # Attention maps grow with the square of the length. With contacts, each sequence is a batch of its own.
        self.budget = 1 if contact_head else budget
        self.windowing = options.windowing
        options.require_layer(encoder.config.num_hidden_layers)
        if not encoder.vocabulary.rows_are_residues:
            options.require_separate_windows()

    @classmethod
    def sized(
        cls,
        encoder: Encoder,
        options: EmbeddingOptions,
        device: torch.device,
        tokens_per_batch: int | str,
        contact_head: ContactHead | None = None,
    ) -> Engine:
        """Return an engine with the budget of `compute.tokens_per_batch`; for `auto`, measure a GPU."""
        measured = bytes_per_token(encoder, device) if tokens_per_batch == "auto" else None
        if measured is not None and "matrix" in options.outputs:
            # The matrices of a batch are on the GPU until they are copied, while the next batch is computed.
            measured += encoder.config.hidden_size * np.dtype(options.dtype).itemsize
        budget = token_budget(tokens_per_batch, device, measured)
        return cls(encoder, options, device, budget, contact_head, measured)

    def _advice(self, longest: int | None = None) -> str:
        """Return advice on the settings to change for a sequence that is too long."""
        most = f" to at most {longest}" if longest else ""
        if self.contact_head:
            return (
                f"Set embedding.contacts_max_length{most} and remove the record, or shorten it "
                "(embedding.embedding_complete: false)"
            )
        return (
            f"Set embedding.embedding_fixed_len_a_time{most}, or shorten the sequence "
            "(embedding.embedding_complete: false)"
        )

    def plan(self, sequences: Sequence[NormalisedSequence]) -> list[PlannedWindow]:
        """Return the windows of all sequences, in order.

        Raises EmbeddingError for a sequence of a type that the checkpoint does not read, or one that is too long for
        the checkpoint or for contacts.
        """
        longest, vocabulary = self.encoder.config.longest_sequence, self.encoder.vocabulary
        readable = vocabulary.seq_types
        planned = []
        for sequence in sequences:
            if sequence.seq_type not in readable:
                raise EmbeddingError(
                    f"the sequence {sequence.digest} (column `digest` of records.tsv gives its id) is of type "
                    f"`{sequence.seq_type}`, but this checkpoint reads only {' and '.join(readable)} sequences. "
                    "Embed it with another model."
                )
            windows = self.windowing.windows(len(sequence.residues))
            if self.contact_head and len(windows) > 1:
                raise EmbeddingError(
                    f"the sequence {sequence.digest} (column `digest` of records.tsv gives its id) is embedded in "
                    "windows, which give no contacts. Remove `contacts` from embedding.outputs, or remove the record."
                )
            if longest is not None and max(window.length for window in windows) > longest:
                raise EmbeddingError(
                    f"the sequence {sequence.digest} (column `digest` of records.tsv gives its id) has "
                    f"{len(sequence.residues)} residues, but this checkpoint's position table allows at most "
                    f"{longest}. {self._advice(longest)}."
                )
            planned.append(windows)
        if isinstance(vocabulary, BytePairs):
            return plan_byte_pairs(sequences, planned, vocabulary)
        return [item for index, windows in enumerate(planned) for item in plan_windows(index, windows)]

    @torch.inference_mode()
    def embed(self, sequences: Sequence[NormalisedSequence], skip: np.ndarray | None = None) -> Iterator[EmbeddedBatch]:
        """Yield the results, in the order of the sequences. Those of equal length should be neighbours, longest first.

        skip: (n,) bool, sequences without results. They keep their places in the batches, so that the other sequences
        get the same values to the last bit. A batch of skipped sequences alone is not computed.
        A GPU gets the next batch before the results of the previous one are read.
        If memory is too small for a batch, its tokens are halved and become the budget; all sequences without results
        so far are planned anew with it, as in a job that starts with this budget. The next batch of results says so.
        """
        planned = self.plan(sequences)
        complete = np.zeros(len(sequences), dtype=bool) if skip is None else skip.copy()
        halved_to: int | None = None
        while True:
            rest = self._embed_within_budget(sequences, planned, complete.copy())
            while True:
                try:
                    batch = next(rest)
                except StopIteration as end:
                    too_large: int | None = end.value
                    break
                complete[batch.sequences] = True
                yield batch if halved_to is None else replace(batch, halved_to=halved_to)
                halved_to = None
            if too_large is None:
                return
            halved_to = self.budget = too_large // 2
            self._free_unused()

    def _embed_within_budget(
        self, sequences: Sequence[NormalisedSequence], planned: Sequence[PlannedWindow], skip: np.ndarray
    ) -> Generator[EmbeddedBatch, None, int | None]:
        """Yield the results of `embed`; return None, or the tokens of the batch for which memory was too small.

        A batch that does not fit beside the results of the one before it is tried once more when these are read.
        """
        pooling = Pooling(self.options.vectors, skip)
        before: LaunchedBatch | None = None
        for start, stop in plan_batches([item.tokens for item in planned], self.budget):
            if all(skip[item.sequence] for item in planned[start:stop]):
                continue
            part = planned[start:stop]
            launched = self._launch_if_it_fits(sequences, part, before is None)
            if before is not None:
                yield self._finish(before, sequences, pooling)
                before = None
                if launched is None:
                    self._free_unused()
                    launched = self._launch_if_it_fits(sequences, part, True)
            if launched is None:
                return sum(item.tokens for item in part)
            if launched.ready is None:
                yield self._finish(launched, sequences, pooling)
            else:
                before = launched
        if before is not None:
            yield self._finish(before, sequences, pooling)
        return None

    def matrices(self, sequences: Sequence[NormalisedSequence]) -> list[np.ndarray]:
        """Return the whole matrices (rows, H) of a few sequences. The options must request `matrix`.

        If rows are byte pairs, their spans are left out.
        """
        found: dict[int, np.ndarray] = {}
        for batch in self.embed(sequences):
            for piece in (piece for piece in batch.pieces if piece.output == "matrix"):
                shape = (piece.total_rows, piece.rows.shape[1])
                matrix = found.setdefault(piece.sequence, np.empty(shape, dtype=np.float32))
                matrix[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        return [found[index] for index in range(len(sequences))]

    def _launch_if_it_fits(
        self, sequences: Sequence[NormalisedSequence], planned: Sequence[PlannedWindow], alone: bool
    ) -> LaunchedBatch | None:
        """Launch a batch; return None if memory is too small for it.

        alone: whether no other batch is on the device. Raises DeviceError if a single window does not fit alone.
        """
        try:
            with on_device(self.device):
                return self._launch(sequences, planned)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if alone and len(planned) == 1:
                raise self._out_of_memory_error(planned[0], sequences[planned[0].sequence], error) from error
            if alone:
                logger.warning(
                    "not enough memory for a batch of %d windows, %d tokens; halving the batch and those after it",
                    len(planned), sum(item.tokens for item in planned),
                )  # fmt: skip
        return None

    def _free_unused(self) -> None:
        """Give the memory that torch holds unused back to the GPU, so that blocks of other sizes can be made of it."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _launch(self, sequences: Sequence[NormalisedSequence], planned: Sequence[PlannedWindow]) -> LaunchedBatch:
        """Start computing a batch; on a GPU, return without waiting."""
        ids, types = (
            to_device(torch.from_numpy(array), self.device)
            for array in tokenise(self.encoder.vocabulary, sequences, planned)
        )
        contacts = None
        if self.contact_head is None:
            hidden = self.encoder(ids, types, [item.tokens for item in planned], layer=self.options.layer)
        else:
            hidden, contacts = self.contact_head(self.encoder, ids, types, self.options.layer)
        pooled, row_sums = pool(hidden, planned, self.options.vectors), hidden.sum(1)  # (B, H) each, (T,)
        matrices = hidden if "matrix" in self.options.outputs else None
        if matrices is not None and self.device.type == "cuda" and self.options.dtype == "float16":
            matrices = matrices.to(torch.float16)  # a GPU casts faster than the thread that writes, to the same numbers
        return LaunchedBatch(
            planned,
            pooled,
            row_sums,
            matrices,
            contacts,
            recorded_event(self.device) if self.device.type == "cuda" else None,
        )

    @cached_property
    def _copies(self) -> HostCopies:
        return HostCopies(self.device)

    def _in_main_memory(self, values: Tensor, ready: torch.cuda.Event | None) -> np.ndarray:
        """Return results as an array, when they are ready. Raises DeviceError if main memory is too small for them."""
        if ready is None:
            return values.numpy()
        try:
            return self._copies.copy(values, ready).numpy()
        except (RuntimeError, MemoryError) as error:
            if not lacks_main_memory(error):
                raise
            raise DeviceError(
                f"{human_bytes(values.nbytes)} of results do not fit in this machine's memory "
                f"({(str(error) or type(error).__name__).splitlines()[0]}). Give the job more memory, or set "
                "compute.tokens_per_batch to a smaller number."
            ) from error

    def _finish(self, batch: LaunchedBatch, sequences: Sequence[NormalisedSequence], pooling: Pooling) -> EmbeddedBatch:
        """Wait for a batch and return its results. Raises EmbeddingError for a value that is not finite."""
        pooled = {name: self._in_main_memory(values, batch.ready) for name, values in batch.pooled.items()}
        starts = np.cumsum([0, *(item.tokens for item in batch.planned[:-1])])
        finite_rows = np.isfinite(self._in_main_memory(batch.row_sums, batch.ready))  # (T,)
        finite = np.isfinite(pooled["sum"]).all(axis=1) & np.logical_and.reduceat(finite_rows, starts)  # (B,)
        if not finite.all():
            digest = sequences[batch.planned[int(np.argmin(finite))].sequence].digest
            raise EmbeddingError(
                f"the embedding of the sequence {digest} (column `digest` of records.tsv gives its id) is not finite. "
                "Set embedding.precision to `float32`. If it is `float32` already, the checkpoint is faulty."
            )
        pieces = []
        if batch.contacts is not None:
            (item,) = batch.planned
            pieces.append(
                Piece("contacts", item.sequence, item.residues, 0, self._in_main_memory(batch.contacts, batch.ready))
            )
        if batch.hidden is not None:
            hidden = self._in_main_memory(batch.hidden, batch.ready)
            pieces += matrix_pieces(hidden, batch.planned, self.options.matrix_add_special_token)
        return pooling.add(batch.planned, pooled, pieces)

    def _out_of_memory_error(self, item: PlannedWindow, sequence: NormalisedSequence, error: Exception) -> DeviceError:
        """Return the error for a window that does not fit in memory as a batch of its own."""
        if self.device.type == "cuda" and not lacks_main_memory(error):
            free, total = free_memory(self.device)
            needed = (
                f"they need about {human_bytes(item.tokens * self.bytes_per_token)}, "
                if self.bytes_per_token and not self.contact_head
                else ""
            )
            had = f"{needed}{human_bytes(free)} of {human_bytes(total)} are free"
            where, larger = "the GPU's memory", "Use a GPU with more memory, or set compute.device to `cpu`"
        else:
            had = (str(error) or type(error).__name__).splitlines()[0]
            where, larger = "this machine's memory", "Use a machine with more memory, or give the job more memory"
        return DeviceError(
            f"{item.window.length} residues of the sequence {sequence.digest} (column `digest` of records.tsv gives "
            f"its id) do not fit in {where}, even as a batch of their own: {had}. {larger}. Or: {self._advice()}."
        )
