"""What several threads must not be the first to call is called by one of them before."""

from __future__ import annotations

import subprocess
import sys

from workflow_runs import ROOT

# Functions that torch leaves to MKL's vector library, which chooses a kernel when each is called for the first time.
OBSERVED = """
import torch
from torch.utils._python_dispatch import TorchDispatchMode

VECTOR_LIBRARY = {"acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "expm1", "log", "log10", "log1p",
                  "log2", "sin", "sinh", "cosh", "sqrt", "tan", "tanh"}
first = {}

class Observing(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__.rstrip("_")
        if name in VECTOR_LIBRARY:
            first.setdefault(name, args[0].numel())
        return function(*args, **(kwargs or {}))

with Observing(), torch.inference_mode():
    from lucaflow.encoders.lucaone import LucaOne, EncoderConfig
    from lucaflow.encoders.contacts import ContactHead
    from lucaflow.encoders.packing import Run
    from lucaflow.downstream.networks import ACTIVATIONS
    from lucaflow.downstream.pooling import POOLINGS, pooler

    config = EncoderConfig(num_hidden_layers=1, hidden_size=64, num_attention_heads=2, no_position_embeddings=True)
    ids = torch.full((300,), 5)
    encoder = LucaOne(config)
    encoder(ids, ids * 0, [300])
    ContactHead(config)(encoder, ids, ids * 0)
    for activation in ACTIVATIONS.values():
        activation(torch.zeros(4096))
    for name in POOLINGS:
        pooler(name, 64)(torch.zeros(300, 64), [Run(1, 300)])
print(first)
assert {"cos", "sin", "tanh"} <= set(first) and set(first.values()) == {1}, first
"""


def test_the_first_calls_are_of_one_number():
    done = subprocess.run(
        [sys.executable, "-c", OBSERVED],
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
