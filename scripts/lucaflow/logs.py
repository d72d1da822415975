"""Write the log of a job, and show the user why a job failed."""

from __future__ import annotations

import io
import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lucaflow.errors import LucaFlowError
from lucaflow.files.space import is_full_disk

logger = logging.getLogger(__name__)

_SECONDS_A_LINE = 30
_LINE_LENGTH = 120


@contextmanager
def reporting_to(log: str | Path, terminal_level: int = logging.WARNING) -> Iterator[None]:
    """Write all messages to a job's log, and those of at least `terminal_level` to the terminal too.

    A LucaFlowError ends the job with its message only; any other exception keeps its traceback.
    """
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(terminal_level)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    file = logging.FileHandler(log, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[terminal, file], force=True)
    try:
        yield
    except Exception as error:
        of_job = logging.getLogger("lucaflow")
        if isinstance(error, LucaFlowError):
            of_job.error("%s: %s", type(error).__name__, error)
        elif is_full_disk(error):
            of_job.error(
                "the disk is full, or your quota is used up (%s). Make room and run again: existing results are kept.",
                error,
            )
        else:
            of_job.exception("unexpected error")
        sys.exit(1)


class Progress(tqdm):
    """Show progress: a bar on a terminal, and a line in the log every 30 seconds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._last_line = -math.inf
        self._shown = sys.stderr.isatty()
        file = sys.stderr if self._shown else io.StringIO()
        # tqdm reads None as "only on a terminal", but the log needs its lines there too.
        kwargs |= {"disable": bool(kwargs.get("disable"))}
        super().__init__(*args, **{"unit": "B", "unit_scale": True, "file": file, **kwargs})

    def display(self, *args: Any, **kwargs: Any) -> None:
        """Redraw the bar, and write a line to the log if one is due."""
        if time.monotonic() - self._last_line >= _SECONDS_A_LINE:
            self._write_line()
        if self._shown:
            super().display(*args, **kwargs)

    def close(self) -> None:
        """Remove the bar, and write a last line to the log."""
        if not self.disable:
            self._write_line()
        super().close()

    def _write_line(self) -> None:
        self._last_line = time.monotonic()
        logger.info("%s", tqdm.format_meter(**{**self.format_dict, "ncols": _LINE_LENGTH, "ascii": True}))
