"""Show the progress of a long job, on a terminal and in its log."""

from __future__ import annotations

import io
import logging
import math
import sys
import time
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

_SECONDS_A_LINE = 30
_LINE_LENGTH = 120


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
