"""Which device computes, in which precision; and what a user reads where a GPU cannot be used. No GPU is needed."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from small_network import network

from lucaflow.engine import devices
from lucaflow.engine.cuda_support import driver_version, has_device_file, has_kernels, sign_of_a_gpu, why_unusable
from lucaflow.engine.devices import (
    bytes_per_token,
    free_memory,
    is_out_of_memory,
    lacks_main_memory,
    require_precision,
    resolve_device,
    supports,
    token_budget,
)
from lucaflow.errors import DeviceError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
# Of torch 2.13, for two versions of CUDA.
CUDA_12_6 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]
CUDA_13_0 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "in_12_6", "in_13_0"),
    [
        ((6, 0), True, False),
        ((6, 1), True, False),
        ((7, 0), True, False),
        ((7, 5), True, True),
        ((8, 9), True, True),
        ((9, 0), True, True),
        ((10, 3), False, True),
        ((11, 0), False, False),
        ((12, 1), False, True),
        ((13, 0), False, True),
    ],
)
def test_which_gpus_a_build_has_kernels_for(capability, in_12_6, in_13_0):
    assert has_kernels(capability, CUDA_12_6) == in_12_6
    assert has_kernels(capability, CUDA_13_0) == in_13_0


def test_kernels_for_one_gpu_or_its_family():
    assert [has_kernels((9, minor), ["sm_90a"]) for minor in (0, 1)] == [True, False]
    assert [has_kernels(found, ["sm_100f"]) for found in ((10, 0), (10, 3), (12, 0))] == [True, True, False]
    assert has_kernels((9, 0), [])
    assert not has_kernels((9, 0), ["gfx942"])


@pytest.mark.parametrize(
    ("environment", "has_file", "built_for_cuda", "expected"),
    [
        ({}, False, True, None),
        ({}, True, True, "this machine has one"),
        ({}, True, False, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, True, True, None),
        ({"CUDA_VISIBLE_DEVICES": "-1", "SLURM_JOB_GPUS": "0"}, True, True, None),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, True, True, None),
        ({"CUDA_VISIBLE_DEVICES": "0"}, True, False, "CUDA_VISIBLE_DEVICES is 0"),
        ({"CUDA_VISIBLE_DEVICES": "0"}, False, True, None),
        ({"SLURM_JOB_ID": "7"}, True, True, None),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_GPUS": "2"}, False, False, "SLURM_JOB_GPUS is 2"),
        ({"SLURM_STEP_GPUS": "0,1"}, False, True, "SLURM_STEP_GPUS is 0,1"),
    ],
    ids=str,
)
def test_how_a_job_knows_that_it_has_a_gpu(environment, has_file, built_for_cuda, expected):
    assert sign_of_a_gpu(environment, has_file, built_for_cuda) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["nvidia3", "null"], True), (["nvidiactl", "nvidia-uvm", "nvidia-modeset"], False), ([], False)],
    ids=str,
)
def test_device_files_of_gpus(tmp_path, names, expected):
    """A container may have the third GPU alone; a machine may have a driver without a GPU."""
    for name in names:
        (tmp_path / name).touch()
    assert has_device_file(tmp_path) == expected


def test_the_version_of_the_driver():
    open_module = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)"
    assert driver_version(open_module) == "570.86.15"
    assert driver_version("nothing of the kind") is None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (("2.13.0+cpu", None, None, "580.1"), "torch 2.13.0+cpu is built without CUDA"),
        (("2.13.0", None, "6.4", None), "torch 2.13.0 is built for AMD's GPUs (ROCm 6.4)"),
        (("2.13.0", "13.0", None, None), "torch 2.13.0 is built for CUDA 13.0, and there is no NVIDIA driver here"),
        (
            ("2.13.0", "13.0", None, "550.54.15"),
            "torch 2.13.0 is built for CUDA 13.0, which needs NVIDIA's driver 580 or newer; "
            "the driver here is 550.54.15",
        ),
        (
            ("2.13.0", "12.6", None, "550.54.15", "broken"),
            "torch 2.13.0 is built for CUDA 12.6, the driver here is 550.54.15, and torch says: broken",
        ),
    ],
    ids=str,
)
def test_why_torch_can_use_no_gpu(facts, expected):
    assert why_unusable(*facts) == expected


@pytest.fixture
def without_gpu(monkeypatch):
    """Return what sets the environment of a job on a machine whose GPU torch cannot use."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "has_device_file", lambda: False)
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.mark.usefixtures("without_gpu")
def test_devices():
    assert resolve_device("auto", "float32") == CPU
    with pytest.raises(DeviceError, match=r"`cuda`, but torch finds no usable GPU here: torch .* is built"):
        resolve_device("cuda", "float32")
    with pytest.raises(DeviceError, match="needs a GPU"):
        resolve_device("auto", "tfloat32")
    assert token_budget(17, CPU, None) == 17
    assert token_budget("auto", CPU, None) == 2048


def test_a_job_that_has_a_gpu_does_not_compute_on_the_processor_unasked(without_gpu):
    without_gpu("SLURM_JOB_GPUS", "3")
    with pytest.raises(
        DeviceError,
        match=r"`auto`, and this job has a GPU \(SLURM_JOB_GPUS is 3\), but torch cannot use it: torch .*`cpu`",
    ):
        resolve_device("auto", "float32")
    assert resolve_device("cpu", "float32") == CPU
    without_gpu("CUDA_VISIBLE_DEVICES", "")
    assert resolve_device("auto", "float32") == CPU


@pytest.fixture
def gpu(monkeypatch):
    """Return what makes torch see a GPU of a compute capability."""

    def see(capability, architectures=CUDA_13_0, hip=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: architectures)
        monkeypatch.setattr(torch.version, "cuda", None if hip else "13.0")
        monkeypatch.setattr(torch.version, "hip", hip)

    return see


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_gpu_without_kernels_is_refused(gpu, device):
    gpu((7, 0))
    with pytest.raises(
        DeviceError,
        match=r"Some GPU has compute capability 7\.0, but torch .*, built for CUDA 13\.0, has .* sm_75, sm_80",
    ):
        resolve_device(device, "float32")


def test_a_gpu_with_kernels(gpu):
    gpu((9, 0))
    for precision in ("float32", "tfloat32", "bfloat16"):
        assert resolve_device("auto", precision) == CUDA


@pytest.mark.parametrize("precision", ["tfloat32", "bfloat16"])
def test_lower_precisions_need_a_newer_gpu(gpu, precision):
    gpu((7, 5))
    require_precision(CUDA, "float32")
    with pytest.raises(DeviceError, match=rf"`{precision}`, but cuda: Some GPU .* capability 8\.0 or more"):
        require_precision(CUDA, precision)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_amds_gpus_are_refused_by_name(gpu, device):
    """A torch that is built for them calls them `cuda`, too."""
    gpu((9, 4), ["gfx942"], hip="6.4")
    with pytest.raises(DeviceError, match=r"is built for AMD's GPUs \(ROCm 6\.4\)"):
        resolve_device(device, "float32")
    assert resolve_device("cpu", "float32") == CPU


@pytest.mark.parametrize(
    ("capability", "supported"),
    [
        (None, {"float32", "bfloat16"}),
        ((7, 5), {"float32"}),
        ((8, 0), {"float32", "tfloat32", "bfloat16"}),
    ],
)
def test_precisions_of_devices(capability, supported):
    every = ("float32", "tfloat32", "bfloat16")
    assert {precision for precision in every if supports(precision, capability)} == supported


def test_memory_that_torch_holds_without_using_it_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (10_000, 100_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 60_000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 20_000)
    assert free_memory(CUDA) == (50_000, 100_000)
    assert token_budget("auto", CUDA, 100) == 400


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")])
def test_a_token_is_measured_in_fewer_sequences_where_memory_is_short(monkeypatch, error):
    counts = []

    def short(_encoder, _device, lengths):
        counts.append(len(lengths))
        if len(lengths) > 4:
            raise error
        return sum(lengths) * 7

    monkeypatch.setattr(devices, "_peak_of_a_pass", short)
    monkeypatch.setattr(devices, "on_device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    assert bytes_per_token(network(CPU), CUDA) == 7
    assert counts == [16, 4]


@pytest.mark.parametrize(
    ("error", "in_main_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), False),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
    ],
    ids=str,
)
def test_a_lack_of_memory_is_known_by_its_message(error, in_main_memory):
    assert is_out_of_memory(error)
    assert lacks_main_memory(error) == in_main_memory


def test_another_error_is_no_lack_of_memory():
    assert not is_out_of_memory(RuntimeError("CUDA error: no kernel image is available"))
