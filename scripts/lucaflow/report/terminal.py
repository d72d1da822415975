"""Which of Snakemake's lines does a user see on the terminal?"""

from __future__ import annotations

import logging

# Lines about Snakemake's own bookkeeping. A line that another Snakemake words differently is simply shown.
HIDDEN_LINES = frozenset(
    {
        "Select jobs to execute...",
        "DAG of jobs will be updated after completion.",
        "Updating checkpoint dependencies.",
        "Rules claiming more threads will be scaled down.",
    }
)
# The event of the line "Execute 2 jobs...": each of these jobs has a line of its own.
_HIDDEN_EVENT = "job_started"


def is_shown(record: logging.LogRecord) -> bool:
    """Return whether the terminal shows a record of Snakemake's logger."""
    return getattr(record, "event", None) != _HIDDEN_EVENT and str(record.msg) not in HIDDEN_LINES


def hide_bookkeeping(logger: logging.Logger) -> None:
    """Hide bookkeeping on the terminal. Log files and logger plugins still get every record of `logger`.

    A second call changes nothing: a handler keeps a filter once.
    """
    for handler in logger.handlers:
        # A FileHandler is a StreamHandler too. Snakemake hands records to plugins through a QueueHandler, which is not.
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.addFilter(is_shown)
