"""The checks of `make gpu`, on the processor and on a GPU. Without a GPU, what needs one is skipped."""

import checks_of_jobs
import checks_of_numbers
import kernel_times
import long_attention
import pytest
import storing
import throughput
import torch
import versions
from cases import NotHere

CHECKS = {check.name: check for check in (*checks_of_numbers.CHECKS, *checks_of_jobs.CHECKS)}
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CHECKS)
def test_check(name, device, tmp_path):
    """The docstring of each check says what it is about."""
    try:
        CHECKS[name].run(torch.device(device), tmp_path)
    except NotHere as reason:
        pytest.skip(str(reason))


MEASUREMENTS = (
    throughput.in_bfloat16, throughput.few_runs_against_many, throughput.real_proteins, throughput.one_pass,
    kernel_times.terms, kernel_times.forms_of_attention, storing.matrices, storing.loading, versions.versions,
)  # fmt: skip


@pytest.mark.parametrize("measure", MEASUREMENTS)
def test_measurements_run(measure):
    """On the processor, in their small forms: on a GPU they are not tests and take minutes."""
    assert all(good and found for _, found, good in measure(torch.device("cpu")))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [long_attention.one_layer, long_attention.attention])
def test_attention_of_a_long_sequence(rows, device):
    assert [row for row in rows(torch.device(device)) if not row[2]] == []
