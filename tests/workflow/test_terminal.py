"""What a run shows on the terminal: the failures."""

from __future__ import annotations

import subprocess
import sys

from workflow_runs import ROOT

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
