"""Copies of a GPU's results in main memory, made while the GPU computes the next batch.

A GPU copies quickly, and beside other work, only to pinned memory. torch rounds each piece of it up to a power of two
and keeps it, so that results of many sizes would fill the machine. Here all results go through two pinned buffers of a
fixed size into ordinary memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lucaflow.engine.devices import is_out_of_memory
from lucaflow.errors import DeviceError
from lucaflow.files.space import human_bytes

BUFFERS = 2
BYTES_PER_BUFFER = 64 * 2**20


class Recorded(Protocol):
    """A place in the work of a GPU that can be waited for, such as `torch.cuda.Event`."""

    def synchronize(self) -> None: ...


def recorded_event(device: torch.device) -> torch.cuda.Event:
    """Return an event that occurs when the GPU has done all work that it has been given so far."""
    event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    # By default it would be recorded on the current GPU, which may be another one.
    event.record(torch.cuda.current_stream(device))
    return event


def copy_through(x: Tensor, buffers: Sequence[Tensor], record: Callable[[], Recorded]) -> Tensor:
    """Return a copy of x in main memory. x goes piece by piece through the buffers, each of which is used in turn.

    buffers: (bytes,) uint8 each, of one size; record: called after each piece was sent to its buffer, returns what can
    be waited for. x must exist until this returns.
    """
    source, found = x.reshape(-1), torch.empty(x.shape, dtype=x.dtype)
    typed = [buffer.view(x.dtype) for buffer in buffers]
    size = len(typed[0])
    underway: deque[tuple[Recorded, Tensor, Tensor]] = deque()

    def finish_first() -> None:
        sent, buffer, place = underway.popleft()
        sent.synchronize()
        place.copy_(buffer)

    pieces = zip(torch.split(source, size), torch.split(found.view(-1), size), strict=True)
    for number, (piece, place) in enumerate(pieces):
        if len(underway) == len(typed):
            finish_first()
        buffer = typed[number % len(typed)][: len(piece)]
        buffer.copy_(piece, non_blocking=True)
        underway.append((record(), buffer, place))
    while underway:
        finish_first()
    return found


class HostCopies:
    """Copies results of one GPU to main memory, beside its computing."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        try:
            self._buffers = [torch.empty(BYTES_PER_BUFFER, dtype=torch.uint8, pin_memory=True) for _ in range(BUFFERS)]
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"this machine's memory has no {human_bytes(BUFFERS * BYTES_PER_BUFFER)} to pin for copies from the "
                f"GPU ({str(error).splitlines()[0]}). Give the job more memory."
            ) from error

    def copy(self, x: Tensor, ready: torch.cuda.Event) -> Tensor:
        """Return a copy of x in main memory. ready: occurs when x is computed."""
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(ready)
            return copy_through(x, self._buffers, lambda: recorded_event(self.device))
