"""What is said at the end of a run that failed, from what Snakemake and its jobs wrote."""

from __future__ import annotations

import pytest

from lucaflow.failures import as_text, cause, failed_jobs

ERROR = """[Thu Nov 26 07:55:57 2026]
Error in rule {rule}:
    message: None
    jobid: {number}
    input: a.fasta, b.json
    output: c.tsv (update)
    log: {log} (check log file(s) for error details)
    slurm_jobid: 7
"""
REFUSED = """2026-11-26 08:01:49,932 INFO reading
2026-11-26 08:01:50,932 ERROR InputError: dataset a: a.fasta: 1 of 3 records cannot be used:
  line 1, id 'a': '1' is no residue code
All of them are listed in problems.tsv.
"""
UNEXPECTED = """2026-11-26 08:01:49,932 ERROR unexpected error
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: 2026 is no length
"""


def errors(*jobs: tuple[int, str]) -> str:
    return "Building DAG of jobs...\n" + "".join(ERROR.format(rule="embed", number=n, log=log) for n, log in jobs)


def test_jobs_that_failed_for_good():
    said = errors(
        (3, "logs/a b.log"), (12, "logs/c.log, /site/slurm_logs/7.log"), (4, "logs/d.log"), (3, "logs/a b.log")
    )
    said += "Finished jobid: 4 (Rule: embed)\n" + "Trying to restart job 12.\n" + "Finished jobid: 1 (Rule: embed)\n"
    assert [str(log) for log in failed_jobs(said)] == ["logs/a b.log", "logs/c.log"]
    assert failed_jobs(errors().replace("\n", "\r\n")) == []


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (
            REFUSED,
            "InputError: dataset a: a.fasta: 1 of 3 records cannot be used:\n  line 1, id 'a': '1' is no residue code\n"
            "All of them are listed in problems.tsv.",
        ),
        (UNEXPECTED, "ValueError: 2026 is no length"),
        (UNEXPECTED + REFUSED.splitlines(keepends=True)[0], "ValueError: 2026 is no length"),
        (
            "2026-11-26 08:01:49,932 INFO 100 of 900\n",
            "It ended without a word: killed, lost, or out of time or memory. Its last line: 100 of 900",
        ),
        ("", "It ended without a word: killed, lost, or out of time or memory."),
        ("no entry", "It ended without a word: killed, lost, or out of time or memory."),
    ],
)
def test_the_cause(log, said):
    assert cause(log) == said


def test_all_of_it(tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(12)]
    logs[0].write_text(REFUSED)
    run = tmp_path / "snakemake.log"
    run.write_text(errors(*enumerate(map(str, logs))))
    text = as_text([str(run)])
    assert f"\nFailed, and why:\n  {logs[0]}\n    InputError: dataset a" in text
    assert "\n      line 1, id 'a'" in text
    assert str(logs[9]) in text and str(logs[10]) not in text
    assert text.endswith(f"\n  and 2 more; all of them are in {run}\n")
    run.write_text("Building DAG of jobs...\n")
    assert as_text([str(run)]) == ""
