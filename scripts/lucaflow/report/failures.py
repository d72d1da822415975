"""What failed in a run, and why: in the words of the jobs, at the end of what Snakemake says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 10
# What Snakemake writes of a job, by its number: that it failed (indented in a group of jobs, with its log and perhaps a
# cluster's), that its files did not come, that it is tried again, that it has ended.
_LINES = r"(?: {4,8}\S.*\n)*?"
_EVENT = re.compile(
    rf"^ *Error in rule \w+:\n{_LINES} +jobid: (?P<failed>\d+)\n{_LINES} +log: (?P<logs>.+?) \(check log"
    r"|^ *Job (?P<incomplete>\d+) +completed successfully, but some output files are missing\.(?P<files>.*)"
    r"|^ *Trying to restart job (?P<again>\d+)\."
    r"|^ *Finished jobid: (?P<finished>\d+)",
    re.MULTILINE,
)
# As a job's log has it: `reporting_to`.
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)
_STACK = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*", re.MULTILINE)


def failed_jobs(said: str) -> list[tuple[str, str]]:
    """Return what failed for good, in order, from what Snakemake said in a run: where to look, and why."""
    failed: dict[str, tuple[str, str]] = {}
    for event in _EVENT.finditer(said):
        if event["failed"]:
            log, _, of_cluster = event["logs"].partition(", ")
            failed[event["failed"]] = log, cause(Path(log), of_cluster)
        elif event["incomplete"]:
            why = f"It ended well, but its files did not come in time (--latency-wait).{event['files']}"
            failed[event["incomplete"]] = f"job {event['incomplete']}", why
        else:
            failed.pop(event["again"] or event["finished"], None)
    return list(failed.values())


def cause(log: Path, of_cluster: str = "") -> str:
    """Return the last error in a job's log, or what is known of one that ended without a word."""
    if not log.is_file():
        where = f", or {of_cluster}," if of_cluster else ""
        return f"It wrote no log: what it said stands above{where} where Snakemake says that it failed."
    # What stands before the first entry, then by turns levels and texts.
    _, *entries = _ENTRY.split(log.read_text(encoding="utf-8", errors="replace"))
    errors = [text for level, text in zip(entries[::2], entries[1::2], strict=True) if level == "ERROR"]
    if errors:
        return _STACK.split(errors[-1])[-1].strip()
    last = f" Its last line: {entries[-1].strip()}" if entries else ""
    return f"It ended without a word: most likely killed, lost, or out of time or memory.{last}"


def as_text(logs_of_run: Sequence[str]) -> str:
    """Return what failed in a run, and why; nothing if that is not known. logs_of_run: Snakemake's own."""
    said = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs_of_run)
    failed = failed_jobs(said)
    lines = ["", "Failed, and why:"] if failed else []
    for where, why in failed[:_SHOWN]:
        lines += [f"  {where}", *(f"    {line}" for line in why.splitlines())]
    if failed[_SHOWN:]:
        lines.append(f"  and {len(failed) - _SHOWN} more; all of them are in {', '.join(logs_of_run)}")
    return "\n".join([*lines, ""]) if lines else ""
