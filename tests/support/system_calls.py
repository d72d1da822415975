"""System calls of a process, followed, or made to fail, by strace."""

from __future__ import annotations

import shutil

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed here")


def followed(calls: str, log: str = "/dev/null") -> list[str]:
    """Return what a command begins with so that its calls, names with commas between, are written to `log`."""
    return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}"]


def injected(call: str, what: str, number: int | None = None) -> list[str]:
    """Return what a command begins with so that something happens at its calls of a name, or at one of them."""
    when = "" if number is None else f":when={number}"
    return [*followed(call), "-e", f"inject={call}:{what}{when}"]
