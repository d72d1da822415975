"""Which handlers hide Snakemake's bookkeeping."""

from __future__ import annotations

import io
import logging
import re
from logging.handlers import QueueHandler
from queue import Queue

import pytest
from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from lucaflow.report.terminal import TimeBefore, hide_bookkeeping


def test_only_the_terminal_hides_bookkeeping_and_once(tmp_path):
    logger, terminal, queue = logging.Logger("a run"), logging.StreamHandler(io.StringIO()), Queue()
    for handler in (terminal, logging.FileHandler(tmp_path / "log"), QueueHandler(queue)):
        logger.addHandler(handler)
    hide_bookkeeping(logger)
    hide_bookkeeping(logger)
    assert len(terminal.filters) == 2
    logger.info("Select jobs to execute...")
    logger.info("Execute 2 jobs...", extra={"event": "job_started"})
    logger.info(None, extra={"event": "progress"})
    logger.error(OSError("Select jobs"))
    logger.warning("Cannot restore results/p/records.tsv: no backup found.")
    logger.warning("Restored previous version of results/p/records.tsv (updating job failed).")
    assert terminal.stream.getvalue() == "None\nSelect jobs\n"
    assert queue.qsize() == len((tmp_path / "log").read_text().splitlines()) == 6


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


@pytest.mark.parametrize("is_module", [False, True])
def test_a_job_has_one_line_with_its_time_and_its_end_is_the_line_of_progress(is_module):
    logger, terminal = logging.Logger("a run"), logging.StreamHandler(io.StringIO())
    terminal.setFormatter(DefaultFormatter({Quietness.REASON}))
    logger.addHandler(terminal)
    for _ in range(2):
        hide_bookkeeping(logger, is_module=is_module)
    job = {"jobid": 1, "rule_msg": "Reading", "reason": "Forced execution", "indent": False}
    logger.info("a job", extra={"event": LogEvent.JOB_INFO, **job})
    logger.info("Finished jobid: 1 (Rule: normalize)", extra={"event": LogEvent.JOB_FINISHED})
    logger.info(None, extra={"event": LogEvent.PROGRESS, "done": 1, "total": 2})
    said = terminal.stream.getvalue()
    if not is_module:
        logger.error(OSError("no text"))
        assert terminal.stream.getvalue() == f"{said}no text\n"
    if is_module:
        assert re.fullmatch(r"\[.* \d{4}\]\nJob 1: Reading\n\[.*\]\nFinished jobid: 1 .*\n1 of 2 .*\n", said)
    else:
        assert re.fullmatch(r"\d\d:\d\d:\d\d Job 1: Reading\n1 of 2 steps \(50%\) done\n", said)
        assert not isinstance(terminal.formatter.other, TimeBefore)
