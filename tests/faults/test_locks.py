"""Two processes with the same work: one names the other, waits, and continues when the other has ended."""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from system_calls import injected, needs_strace

from lucaflow.errors import LockError
from lucaflow.files.locks import is_free, locked

SCRIPTS = Path(__file__).parents[2] / "scripts"
HOLDER = """
import sys, time
from pathlib import Path
from lucaflow.files.locks import locked
with locked(Path(sys.argv[1]), "fetching a", required=sys.argv[2] == "always"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path, when: str = "always", *around: str) -> subprocess.Popen[str]:
    """Start a process that holds a lock until it is told to end."""
    return subprocess.Popen(
        [*around, sys.executable, "-c", HOLDER, str(path), when],
        env={"PYTHONPATH": str(SCRIPTS), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def held(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "held\n"


def test_one_waits_and_says_for_whom(tmp_path, caplog):
    lock = tmp_path / "lock"
    first = holder(lock)
    assert held(first)
    assert not is_free(lock)
    owner = f"{lock} (process {first.pid} on "
    too_long = pytest.raises(LockError, match=re.escape(f"for more than 0 minutes; it holds {owner}"))
    with too_long, locked(lock, "fetching a", timeout=0.3):
        pass
    assert f"Another run is fetching a and holds {owner}" in caplog.text
    assert "; waiting for it to finish." in caplog.text
    second = holder(lock)
    first.communicate("\n")
    assert held(second)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    assert is_free(lock)
    with locked(lock, "fetching a", timeout=0):
        assert lock.read_text().startswith(f"process {os.getpid()} on ")


@needs_strace
@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK"])
def test_a_file_system_without_locks(tmp_path, error):
    """Where the lock is required, a second file is used as the lock; otherwise there is none."""
    lock = tmp_path / "lock"
    without = injected("flock", f"error={error}")
    for _ in range(2):
        first = holder(lock, "always", *without)
        assert held(first)
        second = holder(lock, "always", *without)
        assert second.stderr is not None
        assert "has no locks: start no second run there while this one is fetching a." in second.stderr.readline()
        said = second.stderr.readline()
        assert f"Another run is fetching a and holds {lock}.held (process " in said
        assert f" on {platform.node()}; if that process has ended, delete the file); waiting for it to finish." in said
        unguarded = holder(lock, "where there are locks", *without)
        assert held(unguarded)
        for process in (unguarded, first):
            process.communicate("\n")
        assert held(second)
        second.communicate("\n")
        assert [process.returncode for process in (first, second, unguarded)] == [0, 0, 0]
