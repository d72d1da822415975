"""`make gpu` writes a page whatever becomes of its parts, and needs only torch, h5py and numpy."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import gpu_page
import gpu_part
import kernel_times
import pytest
import stand_ins
from Bio.SeqIO.FastaIO import FastaTwoLineParser
from cases import Check, NotHere
from gpu_page import Part
from random_checkpoint import write_checkpoint
from safetensors import safe_open
from small_network import CONFIG
from torch.autograd import DeviceType
from workflow_runs import ROOT

# In place of gpu_part.py: the same arguments, other parts.
MADE_UP = """
import json, os, signal, sys, time

_, device, path, name = sys.argv
with open(path, "w") as rows:
    print(json.dumps(("a row | with a line", f"found on {device}", True)), file=rows, flush=True)
    if name == "hangs":
        time.sleep(600)
    elif name == "dies":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "raises":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    elif name == "wrong":
        print(json.dumps(("a wrong row", "off by 7", False)), file=rows)
        sys.exit(1)
"""
# As on a machine that has torch, h5py and numpy alone.
REFUSE = """
import sys

MISSING = "safetensors tqdm Bio yaml pandas backports pytest jsonschema snakemake hypothesis requests".split()

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def test_a_part_that_fails_hangs_or_dies_does_not_end_the_others(tmp_path, monkeypatch):
    (tmp_path / "gpu_part.py").write_text(MADE_UP)
    monkeypatch.setattr(gpu_page, "HERE", tmp_path)
    names = ("hangs", "dies", "raises", "wrong", "ends well")
    out = tmp_path / "gpu.md"
    outcomes = gpu_page.run([Part(name, name.title(), (name,), 2) for name in names], "cpu", out)
    assert [outcome.problem for outcome in outcomes] == [
        "not finished after 2 s",
        "exit code -11: no message",
        "exit code 1: RuntimeError: CUDA error: an illegal memory access was encountered",
        "a wrong row",
        None,
    ]
    text = out.read_text()
    assert text.count("| a row \\| with a line | found on cpu |") == 5
    assert "failed: hangs, dies, raises, wrong\n" in text
    assert "Traceback" in (tmp_path / "gpu.log").read_text()


def test_rows_of_a_part(monkeypatch):
    """A check that fails does not end the others, and what a machine lacks is no failure."""

    def impossible(*_):
        raise NotHere("needs a GPU")

    checks = [Check("broken", lambda *_: 1 / 0), Check("lacking", impossible), Check("good", lambda *_: "found")]
    monkeypatch.setitem(sys.modules, "made_up", SimpleNamespace(CHECKS=checks, of_gpus=impossible))
    assert list(gpu_part.rows_of("made_up:CHECKS", "cpu")) == [
        ("broken", "**failed**: ZeroDivisionError: division by zero", False),
        ("lacking", "needs a GPU", True),
        ("good", "found", True),
    ]
    assert list(gpu_part.rows_of("made_up:of_gpus", "cpu")) == [("of gpus", "needs a GPU", True)]


def test_nothing_starts_after_the_time_is_over(tmp_path):
    (outcome,) = gpu_page.run([gpu_page.PARTS[0]], "cpu", tmp_path / "gpu.md", minutes=0.1)
    assert outcome.problem == "not run: the 0.1 minutes were over"
    assert "failed: versions" in (tmp_path / "gpu.md").read_text()


def test_it_needs_only_three_packages(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(REFUSE)
    command = [sys.executable, str(ROOT / "tests/gpu/gpu_page.py"), "--device", "cpu", "--parts", "versions,loading"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    text = (tmp_path / "gpu.md").read_text()
    assert "| replaced or not used here | safetensors, tqdm, Bio, yaml, pandas, backports.zstd |" in text
    assert "into bfloat16" in text
    assert "2 parts" in run.stdout


def test_parts_are_chosen_by_name():
    assert [part.name for part in gpu_page.chosen("jobs,versions")] == ["versions", "jobs"]
    with pytest.raises(SystemExit, match=r"expected some of versions,numbers,jobs,.*, not speed"):
        gpu_page.chosen("speed")


def test_make_gpu_installs_nothing():
    command = ["make", "--no-print-directory", "--dry-run", "gpu", "OUT=here.md", "PARTS=versions"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = said.splitlines()
    assert line.endswith('tests/gpu/gpu_page.py --out "here.md" --parts "versions"')


def test_replacements_read_the_same(tmp_path):
    folder = write_checkpoint(tmp_path, CONFIG)
    with safe_open(folder / "model.safetensors", "pt") as real, stand_ins.Tensors(folder / "model.safetensors") as ours:
        assert set(real.keys()) == set(ours.keys())
        for name in real.keys():  # noqa: SIM118
            assert ours.get_slice(name).get_shape() == real.get_slice(name).get_shape()
            assert ours.get_tensor(name).equal(real.get_tensor(name))
    fasta = tmp_path / "two.fasta"
    fasta.write_text(">a prot\nMKV\n>b gene\nACGT\n")
    with fasta.open() as one, fasta.open() as other:
        assert list(stand_ins.two_line_records(one)) == list(FastaTwoLineParser(other))


def test_times_of_kernels_go_to_the_operations_that_start_them():
    def event(key, device, micros):
        return SimpleNamespace(key=key, device_type=device, self_device_time_total=micros, self_cpu_time_total=1000.0)

    events = [
        event("aten::addmm", DeviceType.CPU, 50.0),
        event("aten::_flash_attention_forward", DeviceType.CPU, 20.0),
        event("lucaflow::rotate", DeviceType.CPU, 7.0),
        event("cudaLaunchKernel", DeviceType.CPU, 0.0),
        event("nvjet_tst_128x256", DeviceType.CUDA, 50.0),
        event("flash_fwd_kernel", DeviceType.CUDA, 20.0),
        event("triton_rotate", DeviceType.CUDA, 7.0),
        event("an unknown kernel", DeviceType.CUDA, 3.0),
    ]
    assert kernel_times.own_times(events, True) == {"products": 50, "attention": 20, "rotary": 7, "the rest": 3}
