"""Write the log of a job, and show the user why a job failed."""

from __future__ import annotations

import gc
import logging
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lucaflow.errors import LucaFlowError
from lucaflow.files.space import is_full_disk

# As `extra` of a message that only the log shows.
IN_LOG_ONLY = {"in_log_only": True}


class Indented(logging.Formatter):
    """Indents what a job says below the line of the job; warnings and errors begin at the margin."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if record.levelno > logging.INFO else textwrap.indent(text, "  ")


def is_for_terminal(record: logging.LogRecord) -> bool:
    return not getattr(record, "in_log_only", False)


@contextmanager
def reporting_to(log: str | Path, terminal_level: int = logging.WARNING) -> Iterator[None]:
    """Write all messages and Python's warnings to a job's log, those of at least `terminal_level` to the terminal too.

    A LucaFlowError ends the job with its message only; any other exception keeps its traceback.
    """
    # What has been imported is never freed; what comes now may be (lucaflow.quick_start).
    gc.freeze()
    gc.enable()
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(terminal_level)
    terminal.setFormatter(Indented("%(message)s"))
    terminal.addFilter(is_for_terminal)
    file = logging.FileHandler(log, mode="w", encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[terminal, file], force=True)
    logging.captureWarnings(True)
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
    finally:
        logging.captureWarnings(False)
        # Python would look for cycles among all objects once more before it ends: half a second after importing torch.
        gc.freeze()
