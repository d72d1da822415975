"""How far a download has come."""

from __future__ import annotations

import os
import pty
import re
import termios

from fetching_cases import fetching_process


def test_lines_in_a_log_and_a_bar_on_a_terminal(server, tmp_path):
    process = fetching_process(server, tmp_path / "log")
    said = process.communicate()[0]
    assert re.search(r"^INFO:lucaflow.progress:pytorch.pth: 100%", said, re.MULTILINE), said
    assert "\r" not in said
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = fetching_process(server, tmp_path / "terminal", stderr=theirs)
    assert "pytorch.pth: 100%" in process.communicate()[0]
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert re.search(r"\rpytorch.pth: 100%", shown), shown
