"""A GPU gives the processor's numbers, within what each precision states. Without a GPU these are skipped."""

import numpy as np
import pytest
import torch
from golden_cases import TOLERANCE, forward_cases, packed, tensors
from small_network import CONFIG, SOME, embedded, network, options, sequences

from lucaflow.checkpoints.loading import load_encoder
from lucaflow.engine.devices import (
    DTYPE_OF_PRECISION,
    bytes_per_token,
    resolve_device,
    set_matmul_precision,
    token_budget,
)
from lucaflow.engine.engine import Engine
from lucaflow.errors import DeviceError

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
CUDA = torch.device("cuda")
# Of the largest value of a matrix, on these small networks.
ERROR = {"float32": 1e-5, "tfloat32": 5e-3, "bfloat16": 3e-2}


@pytest.fixture(autouse=True)
def full_float32_afterwards():
    yield
    set_matmul_precision("float32")


@pytest.mark.parametrize("name", ["T1", "T2", "T3", "T4", "T5"])
def test_recorded_results(name, manifest, golden_checkpoints):
    set_matmul_precision("float32")
    checkpoint = golden_checkpoints[name]
    case = forward_cases(manifest).get(f"{name}/forward/batch-padded") or pytest.skip("not recorded")
    ids, types, lengths = packed(*tensors(case))
    found = load_encoder(checkpoint.folder, CUDA)(ids.to(CUDA), types.to(CUDA), lengths).cpu().split(lengths)
    (output,) = case["outputs"]
    for row, values in zip(checkpoint.arrays[output["array"]], found, strict=True):
        np.testing.assert_allclose(values, row[: len(values)], **TOLERANCE)


@pytest.mark.parametrize("precision", list(ERROR))
@pytest.mark.parametrize("budget", [1, 20, 10_000])
def test_the_processor_agrees(precision, budget, golden_checkpoints):
    folder = golden_checkpoints["T1"].folder
    assert resolve_device("auto", precision) == CUDA
    set_matmul_precision("float32")
    expected = Engine(load_encoder(folder), options(), torch.device("cpu"), 100).matrices(SOME)
    set_matmul_precision(precision)
    encoder = load_encoder(folder, CUDA, DTYPE_OF_PRECISION[precision])
    found = Engine(encoder, options(precision=precision), CUDA, budget).matrices(SOME)
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= ERROR[precision] * np.abs(other).max()


@pytest.fixture
def encoder():
    return network(CUDA)


def test_the_budget_fits_the_free_memory(encoder):
    measured = bytes_per_token(encoder, CUDA)
    assert 4 * CONFIG.hidden_size < measured < 400 * CONFIG.hidden_size
    free, _ = torch.cuda.mem_get_info()
    assert 1 <= token_budget("auto", CUDA, measured) <= free // measured


def test_memory_that_is_short(encoder):
    """A batch that does not fit is halved and gives the same numbers; a sequence that does not fit alone is named."""
    many = sequences(*["MKVLAWRRKL" * 2000] * 64)
    expected, _ = embedded(Engine(encoder, options(outputs=("matrix",)), CUDA, 1), many[:1])
    measured = bytes_per_token(encoder, CUDA)
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    used = torch.cuda.memory_reserved()
    try:
        torch.cuda.set_per_process_memory_fraction((used + 10 * 20_000 * measured) / total)
        for matrix in Engine(encoder, options(), CUDA, 10**9, bytes_per_token=measured).matrices(many):
            np.testing.assert_allclose(matrix, expected[0], atol=1e-5)
        with pytest.raises(DeviceError, match=r"1000000 residues .* do not fit in the GPU's memory .* they need about"):
            list(Engine(encoder, options(), CUDA, 1, bytes_per_token=measured).embed(sequences("MKVLAWRRKL" * 100_000)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
