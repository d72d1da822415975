"""Sequences in, arrays out.

Neither the batches nor the device nor how often memory ran short change a value beyond float rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.lucaone import Encoder
from lucaflow.engine.batches import Planned, plan_batches, plan_windows, tokenise
from lucaflow.engine.devices import bytes_per_token, is_lack_of_memory, token_budget
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.engine.pooling import EmbeddedBatch, Piece, Pooling, matrix_pieces, pool
from lucaflow.errors import DeviceError, EmbeddingError
from lucaflow.files.space import human_bytes
from lucaflow.records.sequences import NormalisedSequence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Launched:
    """A batch that a device works at: what it will have brought to memory here once `ready` has come."""

    planned: Sequence[Planned]
    pooled: dict[str, Tensor]
    hidden: Tensor | None
    contacts: Tensor | None
    ready: torch.cuda.Event | None


class Engine:
    """Embeds sequences with one network on one device, `budget` tokens at once.

    `contact_head` is needed where contacts are asked for; `bytes_per_token` is what was measured on this GPU.
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
        # Attention maps grow with the square of the length: with contacts, each sequence goes alone.
        self.budget = 1 if contact_head else budget
        self.windowing = options.windowing
        options.require_layer(encoder.config.num_hidden_layers)

    @classmethod
    def sized(
        cls,
        encoder: Encoder,
        options: EmbeddingOptions,
        device: torch.device,
        tokens_per_batch: int | str,
        contact_head: ContactHead | None = None,
    ) -> Engine:
        """Return an engine with the budget that `compute.tokens_per_batch` asks for; `auto` measures a GPU."""
        measured = bytes_per_token(encoder, device) if tokens_per_batch == "auto" else None
        budget = token_budget(tokens_per_batch, device, measured)
        return cls(encoder, options, device, budget, contact_head, measured)

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
                raise EmbeddingError(
                    f"the sequence with digest {sequence.digest} (records.tsv has its id) is embedded in windows, "
                    "which give no contacts. Take `contacts` out of embedding.outputs, or leave the record out."
                )
            if longest is not None and max(window.length for window in windows) > longest:
                raise EmbeddingError(
                    f"the sequence with digest {sequence.digest} (records.tsv has its id) has {len(sequence.residues)} "
                    f"residues, but this checkpoint's table of positions ends at {longest}. {self._way_out(longest)}."
                )
            planned += plan_windows(index, windows)
        return planned

    @torch.inference_mode()
    def embed(
        self, sequences: Sequence[NormalisedSequence], known: np.ndarray | None = None
    ) -> Iterator[EmbeddedBatch]:
        """Yield the results in order. Sequences of like length should stand together, the longest first.

        Those that are `known` (n,) have their place in a batch, so that the others are computed as they would be
        otherwise, to the last bit, but bring no results. A GPU has the next batch before the results of the one before
        are taken from it.
        """
        planned = self.plan(sequences)
        known = np.zeros(len(sequences), dtype=bool) if known is None else known
        pooling = Pooling(self.options.vectors, known)
        before: Launched | None = None
        for start, stop in plan_batches([item.tokens for item in planned], self.budget):
            if all(known[item.sequence] for item in planned[start:stop]):
                continue
            for launched in self._launch_or_split(sequences, planned[start:stop]):
                if launched.ready is None:
                    yield self._finish(launched, sequences, pooling)
                    continue
                if before is not None:
                    yield self._finish(before, sequences, pooling)
                before = launched
        if before is not None:
            yield self._finish(before, sequences, pooling)

    def matrices(self, sequences: Sequence[NormalisedSequence]) -> list[np.ndarray]:
        """Return the whole matrices (rows, H) of a few sequences, which the options must ask for."""
        found: dict[int, np.ndarray] = {}
        for batch in self.embed(sequences):
            for piece in batch.pieces:
                shape = (piece.total_rows, piece.rows.shape[1])
                matrix = found.setdefault(piece.sequence, np.empty(shape, dtype=np.float32))
                matrix[piece.start_row : piece.start_row + len(piece.rows)] = piece.rows
        return [found[index] for index in range(len(sequences))]

    def _launch_or_split(
        self, sequences: Sequence[NormalisedSequence], planned: Sequence[Planned]
    ) -> Iterator[Launched]:
        """Launch a batch; if memory is short, halve it and go on, which changes no value."""
        try:
            launched = self._launch(sequences, planned)
        except (RuntimeError, MemoryError) as error:
            if not is_lack_of_memory(error):
                raise
            if len(planned) == 1:
                raise self._too_long(planned[0], sequences[planned[0].sequence], error) from error
            logger.warning("memory of the device is short at %d sequences; halving the batch", len(planned))
        else:
            yield launched
            return
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        middle = len(planned) // 2
        yield from self._launch_or_split(sequences, planned[:middle])
        yield from self._launch_or_split(sequences, planned[middle:])

    def _launch(self, sequences: Sequence[NormalisedSequence], planned: Sequence[Planned]) -> Launched:
        """Give a batch to the device, and the order to bring the results; on a GPU this waits for nothing."""
        ids, types = (self._to_device(array) for array in tokenise(sequences, planned))
        contacts = None
        if self.contact_head is None:
            hidden = self.encoder(ids, types, [item.tokens for item in planned], layer=self.options.layer)
        else:
            hidden, contacts = self.contact_head(self.encoder, ids, types, self.options.layer)
        pooled = pool(hidden, planned, self.options.vectors)
        wants_matrix = "matrix" in self.options.outputs
        launched = Launched(
            planned,
            {name: values.to("cpu", non_blocking=True) for name, values in pooled.items()},
            hidden.to("cpu", non_blocking=True) if wants_matrix else None,
            None if contacts is None else contacts.to("cpu", non_blocking=True),
            torch.cuda.Event(blocking=True) if self.device.type == "cuda" else None,  # type: ignore[no-untyped-call]
        )
        if launched.ready is not None:
            launched.ready.record()
        return launched

    def _to_device(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)

    def _finish(self, batch: Launched, sequences: Sequence[NormalisedSequence], pooling: Pooling) -> EmbeddedBatch:
        """Wait for a batch and return its results. Raises EmbeddingError where a number is not finite."""
        if batch.ready is not None:
            batch.ready.synchronize()
        pooled = {name: values.numpy() for name, values in batch.pooled.items()}
        finite = np.isfinite(pooled["sum"]).all(axis=1)
        if not finite.all():
            digest = sequences[batch.planned[int(np.argmin(finite))].sequence].digest
            raise EmbeddingError(
                f"the embedding of the sequence with digest {digest} (records.tsv has its id) is not finite. Set "
                "embedding.precision to `float32`; if it is that, the checkpoint is not sound."
            )
        pieces = []
        if batch.contacts is not None:
            (item,) = batch.planned
            pieces.append(Piece("contacts", item.sequence, item.residues, 0, batch.contacts.numpy()))
        if batch.hidden is not None:
            pieces += matrix_pieces(batch.hidden.numpy(), batch.planned, self.options.matrix_add_special_token)
        return pooling.add(batch.planned, pooled, pieces)

    def _too_long(self, item: Planned, sequence: NormalisedSequence, error: Exception) -> DeviceError:
        """Return the error for a sequence that does not fit alone."""
        if self.device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self.device)
            # What torch holds of it without using it counts as free.
            free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
            needed = (
                f"they need about {human_bytes(item.tokens * self.bytes_per_token)}, "
                if self.bytes_per_token and not self.contact_head
                else ""
            )
            had = f"{needed}{human_bytes(free)} of {human_bytes(total)} are free"
            where, larger = "the GPU's memory", "Use a GPU with more memory, or set compute.device to `cpu`"
        else:
            had = (str(error) or type(error).__name__).splitlines()[0]
            where, larger = "the memory there is", "Use a machine with more memory, or give the job more"
        return DeviceError(
            f"{item.window.length} residues of the sequence with digest {sequence.digest} do not fit {where} even "
            f"alone: {had}. {larger}. Or: {self._way_out()}."
        )
