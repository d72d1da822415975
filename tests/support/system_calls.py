"""Trace the system calls of a process with strace, or make them fail."""

from __future__ import annotations

import shutil

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def followed(calls: str, log: str = "/dev/null") -> list[str]:
    """Return the prefix of a command that writes its system calls to `log`. calls: names separated by commas."""
    return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}"]


def injected(call: str, what: str, number: int | None = None) -> list[str]:
    """Return the prefix of a command that tampers with its system call `call`. number: only with that call."""
    when = "" if number is None else f":when={number}"
    return [*followed(call), "-e", f"inject={call}:{what}{when}"]
