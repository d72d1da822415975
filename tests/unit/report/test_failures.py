"""What is said at the end of a run that failed, from what Snakemake and its jobs wrote."""

from __future__ import annotations

import textwrap

import pytest

from lucaflow.report.failures import as_text, cause, failed_jobs

ERROR = """Error in rule embed:
    message: None
    jobid: {number}
    input: a.fasta, b.json
    output: c.tsv (update)
    log: {log} (check log file(s) for error details)
    slurm_jobid: 7
"""
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


def errors(*jobs: tuple[int, str]) -> str:
    return "[Thu Nov 26 07:55:57 2026]\n" + "".join(ERROR.format(number=number, log=log) for number, log in jobs)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (errors((3, "logs/a b.log"), (12, "logs/c.log, /site/7.log")), ["logs/a b.log", "logs/c.log"]),
        (errors((3, "a.log"), (3, "a.log")), ["a.log"]),
        (errors((3, "a.log"), (4, "b.log")) + "Trying to restart job 3.\n", ["b.log"]),
        (errors((3, "a.log")) + "Trying to restart job 3.\n" + errors((3, "a.log")), ["a.log"]),
        (errors((3, "a.log"), (31, "b.log")) + "Finished jobid: 3 (Rule: embed)\n", ["b.log"]),
        ("Error in group job 2:\n" + textwrap.indent(errors((3, "a.log"), (4, "b.log")), "    "), ["a.log", "b.log"]),
        ("    Job 2  completed successfully, but some output files are missing. Missing files: c.tsv\n", ["job 2"]),
        ("Building DAG of jobs...\n", []),
    ],
)
def test_jobs_that_failed_for_good(said, found):
    assert [where for where, _ in failed_jobs(said)] == found


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


def test_a_job_that_wrote_no_log(tmp_path):
    assert cause(tmp_path / "none", "slurm/7.log").startswith(
        "It wrote no log. Its output is above, or in slurm/7.log,"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_all_of_it(tmp_path, end):
    logs = [tmp_path / f"{number}.log" for number in range(12)]
    logs[0].write_text(REFUSED)
    run = tmp_path / "snakemake.log"
    run.write_text(errors(*enumerate(map(str, logs))), newline=end)
    text = as_text([str(run)])
    assert f"\nFailed, and why:\n  {logs[0]}\n    InputError: dataset a" in text
    assert "\n      line 1, id 'a'" in text
    assert str(logs[9]) in text and str(logs[10]) not in text
    assert text.endswith(f"\n  and 2 more; all of them are in {run}\n")
    run.write_text("Building DAG of jobs...\n")
    assert as_text([str(run)]) == ""
