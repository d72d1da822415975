"""Which jobs of a run failed, and why: their error messages, for the end of Snakemake's output."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SHOWN = 10
# At the end of a log; an error message with all problems takes less.
_READ_BYTES = 1_000_000
# The start of an entry in a job's log, as `reporting_to` writes it.
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)
_STACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*", re.MULTILINE)


@dataclass(frozen=True)
class FailedJob:
    """A job by Snakemake's number, its log and perhaps the cluster's log, and the output files that it did not make."""

    number: int
    logs: tuple[str, ...] = ()
    missing_files: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The log of the job."""
        return self.logs[0] if self.logs else f"job {self.number}"

    def why(self) -> str:
        """Return the error message of the job, or the probable cause."""
        if self.missing_files:
            files = ", ".join(self.missing_files)
            return f"It succeeded, but its output files did not appear in time (--latency-wait). Missing files: {files}"
        return cause(Path(self.where), *self.logs[1:2])


class FailedJobs(logging.Handler):
    """Collects the failed jobs of a run from the records of Snakemake's logger.

    A job that is started again or finishes is no longer a failed job.
    """

    def __init__(self) -> None:
        super().__init__()
        self._outputs: dict[int, list[str]] = {}
        self._failed: dict[int, FailedJob] = {}

    @property
    def jobs(self) -> list[FailedJob]:
        """The failed jobs, in the order of their failures."""
        return list(self._failed.values())

    def emit(self, record: logging.LogRecord) -> None:
        """Note the event of a record. An error is shown but does not stop the run, as in every handler of logging."""
        try:
            self._note(vars(record))
        except Exception:
            self.handleError(record)

    def _note(self, record: dict) -> None:
        match record.get("event"):
            case "job_info":
                self._failed.pop(record["jobid"], None)
                # A benchmark is an output too; Snakemake marks a file whose previous version it keeps for the job.
                outputs = [*record["output"], *filter(None, [record["benchmark"]])]
                self._outputs[record["jobid"]] = [name.removesuffix(" (update)") for name in outputs]
            case "job_finished":
                self._failed.pop(record["job_id"], None)
                self._outputs.pop(record["job_id"], None)
            case "job_error":
                self._add(FailedJob(record["jobid"], tuple(record["log"])))
            case "group_error":
                # Only this record has the cluster's log. A record for each job of the group follows.
                for job in record["job_error_info"]:
                    self._add(FailedJob(job["jobid"], (*job["log"], *record["aux_logs"])))
            case "error" if record["exception"] == "MissingOutputException":
                # Neither the record nor its exception has the job's number, but the record lists the missing files.
                lines = str(record["msg"]).splitlines()
                for number, outputs in self._outputs.items():
                    missing = [name for name in outputs if any(line.startswith(f"{name} (") for line in lines)]
                    if missing:
                        self._add(FailedJob(number, missing_files=tuple(missing)))

    def _add(self, job: FailedJob) -> None:
        self._failed.setdefault(job.number, job)


def cause(log: Path, of_cluster: str = "") -> str:
    """Return the last error in a job's log, or the probable cause if there is none."""
    try:
        text = _end_of(log)
    except OSError as error:
        return f"Its log cannot be read ({error.strerror}). Its output is above where Snakemake reports the failure."
    if text is None:
        where = f", or in {of_cluster}," if of_cluster else ""
        return f"It wrote no log. Its output is above{where} where Snakemake reports the failure."
    # The text before the first entry, then levels and texts in turn.
    _, *entries = _ENTRY.split(text)
    errors = [text for level, text in zip(entries[::2], entries[1::2], strict=True) if level == "ERROR"]
    if errors:
        return _STACK.split(errors[-1])[-1].strip()
    last = f" Its last line: {entries[-1].strip()}" if entries else ""
    return f"It ended without an error message. Most likely it was killed or lost, or ran out of time or memory.{last}"


def _end_of(log: Path) -> str | None:
    """Return the last part of a log; None if there is no such file."""
    if not log.is_file():
        return None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _READ_BYTES))
        return file.read(_READ_BYTES).decode(errors="replace")


def as_text(failed: Sequence[FailedJob], logs_of_run: Sequence[str]) -> str:
    """Return the failed jobs of a run, and why; empty if there is none. logs_of_run: Snakemake's own logs."""
    lines = ["", "Failed, and why:"] if failed else []
    for job in failed[:_SHOWN]:
        lines += [f"  {job.where}", *(f"    {line}" for line in job.why().splitlines())]
    if failed[_SHOWN:]:
        lines.append(f"  and {len(failed) - _SHOWN} more; all of them are in {', '.join(logs_of_run)}")
    return "\n".join([*lines, ""]) if lines else ""
