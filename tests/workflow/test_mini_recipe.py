"""Run the whole recipe of `make mini` in its small setting, in a copy of the folders that it writes."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys

import pytest
from workflow_runs import ROOT

from lucaflow.checkpoints.registry import read_checkpoints
from lucaflow.schemas import read_yaml
from mini.card import filled, read_later, read_repeats

# As the Makefile runs it.
ENVIRONMENT = os.environ | {"PYTHONPATH": "scripts"}


@pytest.mark.long
@pytest.mark.skipif(
    shutil.which("apt-get") is None, reason="apt-get, which fetches Debian's packages, is not installed"
)
def test_make_mini(tmp_path):
    for name in ("resources/demo", "resources/mini/again", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("checkpoints.tsv", "tasks.tsv"):
        shutil.copy(ROOT / "resources" / name, tmp_path / "resources")
    (tmp_path / "docs/images/mini_training.png").unlink()
    pairs = (tmp_path / "resources/demo/chloroplast_pairs.csv").read_bytes()
    command = [sys.executable, "tools/make_mini.py", "mini-1", "mini-esm2"]
    subprocess.run(
        [*command, "--small", "--root", tmp_path, "--folder", tmp_path], cwd=ROOT, env=ENVIRONMENT, check=True
    )

    assert (tmp_path / "resources/demo/chloroplast_pairs.csv").read_bytes() == pairs
    found = json.loads((tmp_path / "resources/mini/evidence.json").read_text())
    assert [row["sequences"] for row in found["masked tokens and neighbours"]] == [30] * 6
    page = (tmp_path / "docs/mini.md").read_text()
    packaged = (ROOT / "docs/mini.md").read_text()
    later = read_later(tmp_path / "resources")
    assert [row["set"] for row in later[0]] == ["pfam", "location", "location, test set", "families"]
    assert page == filled(packaged, found, read_repeats(ROOT / "resources"), later) != packaged
    assert (tmp_path / "docs/images/mini-esm2_training.png").stat().st_size > 5_000
    assert (tmp_path / "docs/images/mini_training.png").stat().st_size > 5_000
    schema = read_yaml(ROOT / "config/schemas/checkpoints.schema.yaml")
    ours, packaged = (read_checkpoints(root / "resources/checkpoints.tsv", schema) for root in (tmp_path, ROOT))
    assert ours != packaged
    assert len(list((tmp_path / "resources/heads").rglob("pytorch_model.bin"))) == 2


@pytest.mark.parametrize("setting", [("--small",), ("--seed", "2")])
@pytest.mark.parametrize(
    "folders", [(), ("--root", ".", "--folder", "/nowhere"), ("--root", "/nowhere", "--folder", "a/b")]
)
def test_another_setting_cannot_replace_the_packaged_weights(monkeypatch, capsys, setting, folders):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["make_mini.py", *setting, *folders])
    with pytest.raises(SystemExit) as refused:
        runpy.run_path("tools/make_mini.py", run_name="__main__")
    assert refused.value.code == 2
    assert "give --root and --folder outside the clone" in capsys.readouterr().err
