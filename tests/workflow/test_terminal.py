"""What a run shows on the terminal: the work and the failures, but not Snakemake's bookkeeping."""

from __future__ import annotations

import subprocess
import sys

from workflow_runs import ROOT

from lucaflow.report.terminal import HIDDEN_LINES

GOOD = {"a": "MKVLAWRRKLAWMKVLAWRRK", "b": "MWWWKKLLR"}
# One job fails, one fails and succeeds when it is tried again, one does not make its files, one is killed.
FAILURES = """
import sys

sys.path.append("{root}/scripts")
from lucaflow.report import failures
from snakemake.logging import logger

FAILED_JOBS = failures.FailedJobs()
logger.addHandler(FAILED_JOBS)

rule all:
    input: "refused", "tried_again", "late.tsv", "killed"

rule refused:
    output: "refused"
    log: "refused.log"
    shell: "echo '2026-11-26 08:01:49,932 ERROR InputError: a' > {{log}}; exit 1"

rule tried_again:
    output: "tried_again"
    log: "tried_again.log"
    retries: 1
    shell: "test -e tried && touch {{output}} || {{{{ touch tried; exit 1; }}}}"

rule late:
    output: "there", update("late.tsv")
    log: "late.log"
    shell: "touch there"

rule killed:
    output: "killed"
    log: "killed.log"
    shell: "echo '2026-11-26 08:01:49,932 INFO 100 of 900' > {{log}}; kill -9 $$"

onerror:
    print(failures.as_text(FAILED_JOBS.jobs, log))
"""


def test_bookkeeping_is_in_the_log_only(workflow):
    workflow.fasta("good.fasta", GOOD)
    workflow.fasta("bad.fasta", {"a": "MK-VLA"})
    workflow.datasets(*({"dataset": name, "path": f"{name}.fasta", "seq_type": "prot"} for name in ("good", "bad")))
    run = workflow.run("--keep-going", "results/good/sequences/shards.tsv", "results/bad/records.tsv").failed(
        "Reading and normalising good", "1 of 2 steps (50%) done"
    )
    assert run.jobs["normalize"] == 1
    (log,) = (workflow.directory / ".snakemake/log").glob("*.log")
    logged = log.read_text().splitlines()
    shown = run.output.splitlines()
    # The results of this run depend on no checkpoint.
    assert HIDDEN_LINES - {"Updating checkpoint dependencies."} <= set(logged)
    assert not HIDDEN_LINES & set(shown)
    assert any(line.startswith("Execute ") for line in logged)
    assert not any(line.startswith("Execute ") for line in shown)
    start = shown.index("Failed, and why:")
    assert shown[start + 1 : start + 3] == [
        "  logs/normalize/bad.log",
        "    InputError: dataset bad: bad.fasta: 1 of 1 records cannot be used:",
    ]
    assert not any(line.startswith("  logs/") for line in shown[start + 2 :])


def test_the_failures_that_snakemake_reports(tmp_path):
    (tmp_path / "Snakefile").write_text(FAILURES.format(root=ROOT))
    options = ("--cores", "1", "--keep-going", "--latency-wait", "1", "--quiet", "all")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *options], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 1
    heading, *lines = done.stdout.strip().splitlines()
    assert heading == "Failed, and why:"
    said = {where.split()[0]: why.strip() for where, why in zip(lines[::2], lines[1::2], strict=True)}
    assert said.keys() == {"refused.log", "job", "killed.log"}
    assert said["refused.log"] == "InputError: a"
    assert said["job"].endswith("did not appear in time (--latency-wait). Missing files: late.tsv")
    assert said["killed.log"].endswith("or ran out of time or memory. Its last line: 100 of 900")
