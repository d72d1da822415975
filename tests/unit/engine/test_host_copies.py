"""Results of a GPU reach main memory through two small buffers. The same code runs here with ordinary memory."""

from __future__ import annotations

import pytest
import torch

from lucaflow.engine import host_copies
from lucaflow.engine.host_copies import copy_through, recorded_event


class Sent:
    """Stands for an event of a GPU, and notes when it is waited for."""

    def __init__(self, number: int, log: list[str]) -> None:
        self.number = number
        self.log = log

    def synchronize(self) -> None:
        self.log.append(f"wait for {self.number}")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bool])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (7, 5), (16, 16), (3, 100)])
def test_a_copy_has_all_values(dtype, shape):
    x = (torch.arange(torch.Size(shape).numel()).view(shape) % 7).to(dtype)
    buffers = [torch.empty(64, dtype=torch.uint8) for _ in range(2)]
    found = copy_through(x, buffers, lambda: Sent(0, []))
    assert found.dtype == dtype
    assert torch.equal(found, x)


def test_a_buffer_is_used_again_only_when_its_piece_has_arrived():
    log: list[str] = []

    def record() -> Sent:
        number = sum(line.startswith("send") for line in log)
        log.append(f"send {number}")
        return Sent(number, log)

    copy_through(torch.arange(4.0), [torch.empty(4, dtype=torch.uint8) for _ in range(2)], record)
    assert log == ["send 0", "send 1", "wait for 0", "send 2", "wait for 1", "send 3", "wait for 2", "wait for 3"]


def test_an_event_is_recorded_on_the_stream_of_its_own_gpu(monkeypatch):
    """And not on that of the current GPU. There is no GPU here: only the calls can be seen."""
    recorded = []

    class Event:
        def __init__(self, blocking: bool) -> None:
            assert blocking

        def record(self, stream: str) -> None:
            recorded.append(stream)

    monkeypatch.setattr(host_copies.torch.cuda, "Event", Event)
    monkeypatch.setattr(host_copies.torch.cuda, "current_stream", lambda device: f"stream of {device}")
    recorded_event(torch.device("cuda:1"))
    assert recorded == ["stream of cuda:1"]
