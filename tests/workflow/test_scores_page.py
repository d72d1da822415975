"""docs/scores.md, as a reader follows it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pandas as pd
import yaml
from workflow_runs import ROOT

PAGE = (ROOT / "docs/scores.md").read_text(encoding="utf-8")


def snippet(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_page_is_followed_to_the_end(workflow):
    """Its files and its command; every file that it names is there, but for those of other outputs."""
    for name, kind in (("my_protein.fasta", "fasta"), ("my_variants.csv", "csv"), ("my_datasets.tsv", "tsv")):
        workflow.write(name, snippet(kind))
    settings = yaml.safe_load(snippet("yaml"))
    workflow.config = {**settings, **{key: workflow.config[key] for key in ("checkpoints", "compute")}}
    program, *arguments = shlex.split(snippet("console"))
    assert (program, arguments) == (".venv/bin/snakemake", ["--cores", "4", "--configfile", "my.yaml"])
    run = workflow.run().succeeded()
    assert "4 of 4 variants have scores" in run.output
    folder = workflow.result("my_protein", "scores")
    named = PAGE[PAGE.index("## The files") : PAGE.index("## Methods, and their cost")]
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", named, re.MULTILINE)
    assert len(rows) == 8
    for names, content in rows:
        output = re.match(r"`(\w+)`: ", content)
        if output is None or output[1] in settings["scores"]["outputs"]:
            for name in re.findall(r"`([^`]+)`", names):
                assert (folder / name).exists(), name
    variants = pd.read_csv(folder / "variants.csv")
    assert [*variants.columns] == ["mutant", "DMS_score", *settings["scores"]["methods"], "reason"]
    assert variants["wt_marginals"].notna().all()
    metrics = pd.read_csv(folder / "variants.metrics.tsv", sep="\t")
    assert set(metrics["score"]) >= {"masked_marginals", "wt_marginals", "blosum62", "hydropathy"}
    assert "too few positions to compare with BLOSUM62" in set(metrics["verdict"])


def test_the_example_in_python_scores_its_variants():
    done = subprocess.run(
        [sys.executable, "-c", snippet("python")], cwd=ROOT, env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(re.findall(r"-?\d+\.\d+", done.stdout)) == 3
