"""Which handlers hide Snakemake's bookkeeping."""

from __future__ import annotations

import io
import logging
from logging.handlers import QueueHandler
from queue import Queue

from lucaflow.report.terminal import hide_bookkeeping


def test_only_the_terminal_hides_bookkeeping_and_once(tmp_path):
    logger, terminal, queue = logging.Logger("a run"), logging.StreamHandler(io.StringIO()), Queue()
    for handler in (terminal, logging.FileHandler(tmp_path / "log"), QueueHandler(queue)):
        logger.addHandler(handler)
    hide_bookkeeping(logger)
    hide_bookkeeping(logger)
    assert len(terminal.filters) == 1
    logger.info("Select jobs to execute...")
    logger.info("Execute 2 jobs...", extra={"event": "job_started"})
    logger.info(None, extra={"event": "progress"})
    logger.error(OSError("Select jobs"))
    assert terminal.stream.getvalue() == "None\nSelect jobs\n"
    assert queue.qsize() == len((tmp_path / "log").read_text().splitlines()) == 4
