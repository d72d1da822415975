"""What is said at the end of a run that failed, from what Snakemake and its jobs wrote."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lucaflow.report.failures import FailedJob, FailedJobs, as_text, cause

REFUSED = """2026-11-26 08:01:49,932 INFO reading
2026-11-26 08:01:50,932 ERROR InputError: dataset a: a.fasta: 1 of 3 records cannot be used:
  line 1, id 'a': '1' is not a residue code
All problems are listed in problems.tsv.
"""
UNEXPECTED = """2026-11-26 08:01:49,932 ERROR unexpected error
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    launch()
torch.AcceleratorError: an illegal memory access
2026 is no date
Compile with TORCH_USE_CUDA_DSA.
"""
SILENT = "It ended without an error message. Most likely it was killed or lost, or ran out of time or memory."


LATE = """MissingOutputException in rule split in file rules/sequences.smk, line 50:
Job 2  completed successfully, but some output files are missing. Missing files after 5 seconds. This might be due to \
filesystem latency. If that is the case, consider to increase the wait time with --latency-wait:
a b/c.tsv (missing locally, parent dir contents: c, d.tsv)
"""


def started(number: int, *output: str) -> dict[str, Any]:
    return {"event": "job_info", "jobid": number, "output": output, "benchmark": None}


def finished(number: int) -> dict[str, Any]:
    return {"event": "job_finished", "job_id": number}


def error(number: int, *logs: str) -> dict[str, Any]:
    return {"event": "job_error", "jobid": number, "log": logs}


def group_error(*jobs: dict[str, Any]) -> dict[str, Any]:
    return {"event": "group_error", "job_error_info": jobs, "aux_logs": ["/site/7.log"]}


def late(name: str = "MissingOutputException") -> dict[str, Any]:
    return {"event": "error", "exception": name}


def failed_jobs(*events: dict[str, Any]) -> list[FailedJob]:
    """Return the failed jobs of a run, from the events that Snakemake logs."""
    logger, failed = logging.Logger("a run"), FailedJobs()
    logger.addHandler(failed)
    for event in events:
        logger.error(LATE if event.get("event") == "error" else "Building DAG of jobs...", extra=event)
    return failed.jobs


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([error(3, "logs/a b.log"), error(12, "c.log", "/site/7.log")], [("logs/a b.log",), ("c.log", "/site/7.log")]),
        ([error(3, "a.log"), error(3, "a.log")], [("a.log",)]),
        ([error(3, "a.log"), error(4, "b.log"), started(3)], [("b.log",)]),
        ([error(3, "a.log"), started(3), error(3, "a.log")], [("a.log",)]),
        ([error(3, "a.log"), error(31, "b.log"), finished(3)], [("b.log",)]),
        (
            [group_error(error(3, "a.log"), error(4, "b.log")), error(3, "a.log"), error(4, "b.log")],
            [("a.log", "/site/7.log"), ("b.log", "/site/7.log")],
        ),
        ([{}, started(3), late("RuleException")], []),
    ],
)
def test_jobs_that_failed_for_good(events, found):
    assert [job.logs for job in failed_jobs(*events)] == found


def test_a_job_whose_files_did_not_appear():
    others = [started(1, "b/c.tsv", "a b/c"), started(3, "a b/c.tsv.gz"), started(4, "d.tsv")]
    (job,) = failed_jobs(*others, started(2, "d", "a b/c.tsv (update)"), late())
    assert job.where == "job 2"
    assert job.why().endswith("did not appear in time (--latency-wait). Missing files: a b/c.tsv")
    assert not failed_jobs(started(2, "a b/c.tsv"), late(), started(2, "a b/c.tsv"), finished(2))


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            REFUSED,
            "InputError: dataset a: a.fasta: 1 of 3 records cannot be used:\n"
            "  line 1, id 'a': '1' is not a residue code\nAll problems are listed in problems.tsv.",
        ),
        (UNEXPECTED, UNEXPECTED[UNEXPECTED.index("torch.") :].strip()),
        (UNEXPECTED + REFUSED.splitlines(keepends=True)[0], UNEXPECTED[UNEXPECTED.index("torch.") :].strip()),
        ("2026-11-26 08:01:49,932 INFO 100 of 900\n", f"{SILENT} Its last line: 100 of 900"),
        ("", SILENT),
        ("no entry", SILENT),
    ],
)
def test_the_cause(tmp_path, log, said):
    (tmp_path / "log").write_text(log)
    assert cause(tmp_path / "log") == said


def test_a_log_that_is_damaged_or_large(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\0\xff" * 2_000_000 + b"\n" + REFUSED.encode())
    assert cause(log).startswith("InputError: dataset a")
    log.write_bytes(b"\0\xff" * 10)
    assert cause(log) == SILENT
    assert cause(tmp_path / ("x" * 300)).startswith("Its log cannot be read (File name too long).")


def test_a_job_that_wrote_no_log(tmp_path):
    assert cause(tmp_path / "none", "slurm/7.log").startswith(
        "It wrote no log. Its output is above, or in slurm/7.log,"
    )


def test_all_of_it(tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(12)]
    logs[0].write_text(REFUSED)
    text = as_text(failed_jobs(*(error(number, str(log)) for number, log in enumerate(logs))), ["snakemake.log"])
    assert f"\nFailed, and why:\n  {logs[0]}\n    InputError: dataset a" in text
    assert "\n      line 1, id 'a'" in text
    assert str(logs[9]) in text and str(logs[10]) not in text
    assert text.endswith("\n  and 2 more; all of them are in snakemake.log\n")
    assert as_text([], ["snakemake.log"]) == ""
