"""Which of Snakemake's lines does a user see on the terminal?"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import Any

# Lines about Snakemake's own bookkeeping. A line that another Snakemake words differently is simply shown.
HIDDEN_LINES = frozenset(
    {
        "Select jobs to execute...",
        "DAG of jobs will be updated after completion.",
        "Updating checkpoint dependencies.",
        "Rules claiming more threads will be scaled down.",
    }
)
# Of a failed job, one line for each output that no earlier run has made.
_NOTHING_TO_RESTORE = re.compile(r"Cannot restore .*: no backup found\.")
# The event of the line "Execute 2 jobs...": each of these jobs has a line of its own.
_HIDDEN_EVENT = "job_started"


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether the terminal shows a record of Snakemake's logger."""
    line = str(record.msg)
    is_hidden = line in HIDDEN_LINES or bool(_NOTHING_TO_RESTORE.fullmatch(line))
    return getattr(record, "event", None) != _HIDDEN_EVENT and not is_hidden


def hide_bookkeeping(logger: logging.Logger, quiet: Collection[Any] | None = None) -> None:
    """Hide bookkeeping on the terminal. Log files and logger plugins still get every record of `logger`.

    quiet: what else to hide there, members of Snakemake's Quietness; None for what Snakemake was told (`--quiet`).
    A second call changes nothing: a handler keeps a filter once.
    """
    for handler in logger.handlers:
        # A FileHandler is a StreamHandler too. Snakemake hands records to plugins through a QueueHandler, which is not.
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            if quiet is not None:
                _hide_more(handler, quiet)
            handler.addFilter(is_shown)


def _hide_more(handler: logging.Handler, quiet: Collection[Any]) -> None:
    """Change what Snakemake's own formatter and filter of a handler hide."""
    parts: list[Any] = [handler.formatter, *handler.filters]
    for part in parts:
        if hasattr(part, "quiet"):
            part.quiet = quiet
