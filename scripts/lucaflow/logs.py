"""Logging of a job, and what the user sees when it fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lucaflow.errors import LucaFlowError


@contextmanager
def reporting_to(log: str | Path, shown: int = logging.WARNING) -> Iterator[None]:
    """Write everything to a job's log, and what is at least of level `shown` to the terminal as well.

    A LucaFlowError ends the job with its message alone; any other exception keeps its traceback.
    """
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(shown)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    file = logging.FileHandler(log, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[terminal, file], force=True)
    try:
        yield
    except LucaFlowError as error:
        logging.getLogger("lucaflow").error("%s: %s", type(error).__name__, error)
        sys.exit(1)
    except Exception:
        logging.getLogger("lucaflow").exception("unexpected error")
        sys.exit(1)
