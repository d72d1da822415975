"""What failed in a run, and why: in the words of the jobs, at the end of what Snakemake says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 10
# As Snakemake writes of a job that failed, with its log and perhaps a cluster's, and of one that came to its end, if
# only when it was tried again.
_LINES = r"(?:    .*\n)*?"
_FAILED = re.compile(
    rf"^Error in rule \w+:\n{_LINES}    jobid: (\d+)\n{_LINES}    log: (.+?)(?:, .+)? \(check log", re.MULTILINE
)
_FINISHED = re.compile(r"^Finished jobid: (\d+)", re.MULTILINE)
# As a job's log has it: `reporting_to`.
_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) ", re.MULTILINE)


def failed_jobs(said: str) -> list[Path]:
    """Return the logs of the jobs that failed for good, in order, from what Snakemake said in a run."""
    failed = {number: Path(log) for number, log in _FAILED.findall(said)}
    for number in _FINISHED.findall(said):
        failed.pop(number, None)
    return list(failed.values())


def cause(log: str) -> str:
    """Return the last error in a job's log; of one that ended without a word, its last line."""
    # What stands before the first entry, then by turns levels and texts.
    _, *entries = _ENTRY.split(log)
    errors = [text for level, text in zip(entries[::2], entries[1::2], strict=True) if level == "ERROR"]
    if not errors:
        last = f" Its last line: {entries[-1].strip()}" if entries else ""
        return f"It ended without a word: killed, lost, or out of time or memory.{last}"
    text = errors[-1].strip()
    return text.splitlines()[-1] if "\nTraceback (most recent call last)" in text else text


def as_text(logs_of_run: Sequence[str]) -> str:
    """Return what failed in a run, and why; nothing if it is not known. logs_of_run: Snakemake's own."""
    said = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs_of_run)
    failed = failed_jobs(said)
    lines = ["", "Failed, and why:"] if failed else []
    for log in failed[:_SHOWN]:
        why = cause(log.read_text(encoding="utf-8", errors="replace") if log.is_file() else "")
        lines += [f"  {log}", *(f"    {line}" for line in why.splitlines())]
    if failed[_SHOWN:]:
        lines.append(f"  and {len(failed) - _SHOWN} more; all of them are in {', '.join(logs_of_run)}")
    return "\n".join([*lines, ""]) if lines else ""
