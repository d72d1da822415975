"""Which of Snakemake's lines does a user see on the terminal, and how?"""

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
        "Conda environments: ignored",
    }
)
# Of a failed job, one line for each output: its older version stays, or there is none.
_OF_OUTPUTS = r"Cannot restore .*: no backup found\.|Restored previous version of .* \(updating job failed\)\."
_HIDDEN_PATTERN = re.compile(rf"{_OF_OUTPUTS}|Using shell: \S+")
# The line "Execute 2 jobs..." (each of these jobs has a line of its own), and the end of a job, which the line of
# progress after it says too.
_STARTED, _FINISHED = "job_started", "job_finished"
# What Snakemake writes above the line of a job: [Sun Nov 29 18:36:02 2026]
_TIME_ABOVE = re.compile(r"\[\w{3} \w{3} +\d+ (\d\d:\d\d:\d\d) \d{4}\]\n")


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether the terminal shows a record of Snakemake's logger."""
    line = str(record.msg)
    is_hidden = line in HIDDEN_LINES or bool(_HIDDEN_PATTERN.fullmatch(line))
    return getattr(record, "event", None) != _STARTED and not is_hidden


def is_no_end(record: logging.LogRecord) -> bool:
    """Return whether a record is anything but the end of a job."""
    return getattr(record, "event", None) != _FINISHED


class TimeBefore(logging.Formatter):
    """Formats as another formatter does, but with the time of day before a line, and not above it with the date."""

    def __init__(self, other: logging.Formatter) -> None:
        super().__init__()
        self.other = other

    def format(self, record: logging.LogRecord) -> str:
        # Snakemake's formatter may return a message that is no text as it is.
        return _TIME_ABOVE.sub(r"\1 ", str(self.other.format(record)), count=1)


def hide_bookkeeping(logger: logging.Logger, quiet: Collection[Any] | None = None, is_module: bool = False) -> None:
    """Hide bookkeeping on the terminal. Log files and logger plugins still get every record of `logger`.

    quiet: what else to hide there, members of Snakemake's Quietness; None for what Snakemake was told (`--quiet`);
    is_module: whether another workflow is around this one, which decides how its jobs are shown.
    A second call changes nothing: a handler keeps a filter once.
    """
    for handler in logger.handlers:
        # A FileHandler is a StreamHandler too. Snakemake hands records to plugins through a QueueHandler, which is not.
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            if quiet is not None:
                _hide_more(handler, quiet)
            handler.addFilter(is_shown)
            if not is_module:
                handler.addFilter(is_no_end)
                _shorten(handler)


def _shorten(handler: logging.Handler) -> None:
    """Put the time into the line of a job."""
    if handler.formatter and not isinstance(handler.formatter, TimeBefore):
        handler.setFormatter(TimeBefore(handler.formatter))


def _hide_more(handler: logging.Handler, quiet: Collection[Any]) -> None:
    """Change what Snakemake's own formatter and filter of a handler hide."""
    parts: list[Any] = [handler.formatter, *handler.filters]
    for part in parts:
        if hasattr(part, "quiet"):
            part.quiet = quiet
