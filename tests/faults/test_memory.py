"""Memory that ends while a long sequence is embedded: one message that says for which, and what to set."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# RLIMIT_DATA bounds what a process allocates on Linux alone.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does it")
IS_X86 = platform.machine() in ("x86_64", "AMD64")
only_x86 = pytest.mark.skipif(not IS_X86, reason="oneDNN's packed products are for x86 processors")
TESTS = Path(__file__).resolve().parents[1]
BOUNDED = """
import resource, sys
sys.path[:0] = {paths!r}
import torch
from small_network import network, options, sequences
from lucaflow.engine.engine import Engine
from lucaflow.errors import DeviceError
from lucaflow.encoders.onednn import pack
torch.set_num_threads(1)
encoder = network(torch.device("cpu"))
if {packed}:
    for block in encoder.layers:
        pack(block)
engine = Engine(encoder, options(outputs=("mean",)), torch.device("cpu"), {budget})
some = sequences(*["MKVLAWRRKL" * {tens}] * {count})
list(engine.embed(some[:1] if {count} > 1 else sequences("MKV")))
with open("/proc/self/statm") as file:
    used = int(file.read().split()[5]) * resource.getpagesize()

def embed_within(more):
    resource.setrlimit(resource.RLIMIT_DATA, (used + more, resource.RLIM_INFINITY))
    return [vector.tobytes() for batch in engine.embed(some) for vector in batch.vectors["mean"]]
"""
TOO_LITTLE = """
try:
    embed_within({more})
except DeviceError as error:
    sys.exit(str(error))
"""
# A sequence alone needs a few megabytes, and how many differs between runs: allocators keep and round what they get.
FOR_ONE_AND_FOR_SOME = """
more = 5_000_000
while True:
    try:
        vectors = embed_within(more)
        break
    except DeviceError as error:
        assert "residues of the sequence " in str(error)
        more = more * 3 // 2
print(len(vectors), len(set(vectors)), file=sys.stderr)
print("4 times as much", file=sys.stderr)
engine.budget = {budget}
vectors = embed_within(4 * more)
print(len(vectors), len(set(vectors)), file=sys.stderr)
"""


def run(program: str, **values: int) -> subprocess.CompletedProcess[str]:
    paths = [str(TESTS.parent / "scripts"), str(TESTS / "support")]
    command = [sys.executable, "-c", (BOUNDED + program).format(paths=paths, **values)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=only_x86)])
def test_a_sequence_that_does_not_fit_is_named(packed):
    result = run(TOO_LITTLE, tens=200_000, count=1, budget=1, more=100_000_000, packed=packed)
    assert result.returncode == 1
    assert "2000000 residues of the sequence " in result.stderr
    assert "(column `digest` of records.tsv gives its id)" in result.stderr
    assert "can't allocate memory: you tried to allocate" in result.stderr
    assert "Set embedding.embedding_fixed_len_a_time" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("packed", [False, pytest.param(True, marks=only_x86)])
def test_a_batch_that_does_not_fit_is_halved(packed):
    """In as little memory as one sequence needs, and in that of several."""
    result = run(FOR_ONE_AND_FOR_SOME, tens=300, count=64, budget=10**9, packed=packed)
    assert result.returncode == 0, result.stderr
    for said in result.stderr.split("4 times as much"):
        assert "halving the batch" in said
        assert said.splitlines()[-1] == "64 1"
