"""Which handlers hide Snakemake's bookkeeping."""

from __future__ import annotations

import io
import logging
from logging.handlers import QueueHandler
from queue import Queue

from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

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
    logger.warning("Cannot restore results/p/records.tsv: no backup found.")
    assert terminal.stream.getvalue() == "None\nSelect jobs\n"
    assert queue.qsize() == len((tmp_path / "log").read_text().splitlines()) == 5


def test_the_terminal_alone_hides_what_it_is_told(tmp_path):
    logger, terminal, file = logging.Logger("a run"), logging.StreamHandler(io.StringIO()), tmp_path / "log"
    for handler in (terminal, logging.FileHandler(file)):
        handler.setFormatter(DefaultFormatter(None))
        handler.addFilter(DefaultFilter(None, False, False, False, False))
        logger.addHandler(handler)
    hide_bookkeeping(logger, {Quietness.HOST, Quietness.REASON})
    logger.info("host: here", extra={"quietness": Quietness.HOST})
    job = {"jobid": 1, "rule_msg": "Reading", "reason": "Forced execution", "indent": False}
    logger.info("a job", extra={"event": LogEvent.JOB_INFO, **job})
    assert "Reading" in terminal.stream.getvalue()
    assert not {"Reason: Forced execution", "host: here"} & set(terminal.stream.getvalue().splitlines())
    assert {"Reason: Forced execution", "host: here"} <= set(file.read_text().splitlines())
