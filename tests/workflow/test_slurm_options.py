"""The lines that wait as comments in the profile for SLURM, and the options of sbatch that come of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import yaml
from workflow_runs import ROOT

# For each rule, lines of the profile without their comment sign, and the options that its job is submitted with.
LINES = {
    "embed": (['slurm_partition: "gpu"', 'constraint: "a100|h100"'], ["-p gpu", "-C a100|h100", "--gpus=1"]),
    "predict": (["gpu: 0", 'gres: "gpu:1"'], ["--gres=gpu:1"]),
    "compare_precisions": (['gpu_model: "a100"'], ["--gpus=a100:1"]),
}
# In place of SLURM's programs: sbatch notes how it was called, and takes no job; sacctmgr knows the account.
PROGRAMS = {
    "sbatch": 'echo "$@" >> "$SUBMITTED"\nexit 1',
    "sacctmgr": "echo my_account",
    "squeue": "exit 0",
    "sinfo": "exit 0",
}
RULE = """
rule {name}:
    output: "{name}.txt"
    resources: gpu=1, mem_mb=500
    shell: "touch {{output}}"
"""


def settings_of(lines: list[str]) -> dict[str, object]:
    """Return what the profile says of jobs with a GPU when these lines are comments no more."""
    text = (ROOT / "profiles/slurm/config.yaml").read_text()
    for line in lines:
        assert f"    # {line}\n" in text
        text = text.replace(f"    # {line}\n", f"    {line}\n")
    return yaml.safe_load(text)["set-resources"]["embed"]


@pytest.mark.long
def test_ways_to_ask_for_a_gpu(tmp_path):
    """With Snakemake's plugin for SLURM, and in place of SLURM a program that notes how jobs are submitted."""
    for name, script in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    rules = "".join(RULE.format(name=name) for name in LINES)
    names = ", ".join(f'"{name}.txt"' for name in LINES)
    (tmp_path / "Snakefile").write_text(f"rule all:\n    input: {names}\n{rules}")
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    profile["set-resources"] = {name: settings_of(lines) for name, (lines, _) in LINES.items()}
    profile |= {"retries": 0, "slurm-init-seconds-before-status-checks": 1}
    profile["default-resources"]["slurm_account"] = "my_account"
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(yaml.safe_dump(profile))
    submitted = tmp_path / "submitted"
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--workflow-profile", "profile"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SUBMITTED": str(submitted)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    calls = {re.search(r"--comment rule_(\w+)", line)[1]: line for line in submitted.read_text().splitlines()}
    assert calls.keys() == LINES.keys()
    for name, (_, expected) in LINES.items():
        call = calls[name].partition("--wrap")[0]
        assert all(f" {option} " in call for option in expected), call
        assert len(re.findall("gpu:|--gpus", call)) == 1
