"""Which jobs of a run failed, and why: their error messages, for the end of Snakemake's output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 10
# What Snakemake writes about a job, by its number: it failed (indented in a group of jobs, with its log and perhaps the
# cluster's log), its output files are missing, it is tried again, it finished.
_LINES = r"(?: {4,8}\S.*\n)*?"
_EVENT = re.compile(
    rf"^ *Error in rule \w+:\n{_LINES} +jobid: (?P<failed>\d+)\n{_LINES} +log: (?P<logs>.+?) \(check log"
    r"|^ *Job (?P<incomplete>\d+) +completed successfully, but some output files are missing\.(?P<files>.*)"
    r"|^ *Trying to restart job (?P<again>\d+)\."
    r"|^ *Finished jobid: (?P<finished>\d+)",
    re.MULTILINE,
)
# The start of an entry in a job's log, as `reporting_to` writes it.
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)
_STACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*", re.MULTILINE)


def failed_jobs(output: str) -> list[tuple[str, str]]:
    """Return where to look, and why, for each job that failed for good, in the order of Snakemake's output."""
    failed: dict[str, tuple[str, str]] = {}
    for event in _EVENT.finditer(output):
        if event["failed"]:
            log, _, of_cluster = event["logs"].partition(", ")
            failed[event["failed"]] = log, cause(Path(log), of_cluster)
        elif event["incomplete"]:
            why = f"It succeeded, but its output files did not appear in time (--latency-wait).{event['files']}"
            failed[event["incomplete"]] = f"job {event['incomplete']}", why
        else:
            failed.pop(event["again"] or event["finished"], None)
    return list(failed.values())


def cause(log: Path, of_cluster: str = "") -> str:
    """Return the last error in a job's log, or the probable cause if there is none."""
    if not log.is_file():
        where = f", or in {of_cluster}," if of_cluster else ""
        return f"It wrote no log. Its output is above{where} where Snakemake reports the failure."
    # The text before the first entry, then levels and texts in turn.
    _, *entries = _ENTRY.split(log.read_text(encoding="utf-8", errors="replace"))
    errors = [text for level, text in zip(entries[::2], entries[1::2], strict=True) if level == "ERROR"]
    if errors:
        return _STACK.split(errors[-1])[-1].strip()
    last = f" Its last line: {entries[-1].strip()}" if entries else ""
    return f"It ended without an error message. Most likely it was killed or lost, or ran out of time or memory.{last}"


def as_text(logs_of_run: Sequence[str]) -> str:
    """Return the failed jobs of a run, and why; empty if none is known. logs_of_run: Snakemake's own logs."""
    output = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs_of_run)
    failed = failed_jobs(output)
    lines = ["", "Failed, and why:"] if failed else []
    for where, why in failed[:_SHOWN]:
        lines += [f"  {where}", *(f"    {line}" for line in why.splitlines())]
    if failed[_SHOWN:]:
        lines.append(f"  and {len(failed) - _SHOWN} more; all of them are in {', '.join(logs_of_run)}")
    return "\n".join([*lines, ""]) if lines else ""
