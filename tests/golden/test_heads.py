"""The recorded forward runs of LucaOneTasks' networks, and its poolings."""

import json

import numpy as np
import pytest
import torch
from golden_cases import PACKAGED, golden_folder

from lucaflow.downstream.conversion import convert, load_head
from lucaflow.downstream.inputs import rows_for_head
from lucaflow.downstream.models import choose_task, locate_head
from lucaflow.downstream.pooling import POOLINGS, pooler
from lucaflow.encoders.packing import Run

pytestmark = pytest.mark.xdist_group("heads")

GOLDEN = golden_folder("downstream")
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
PACKAGED_RUNS = {*(f"predict_single_{row}" for row in range(5)), "predict_batch"}
PACKAGED_RUNS |= {"train_batch", "special_batch", "nobos_batch"}
RUNS = sorted({run for task in MANIFEST["tasks"].values() for run in task["runs"]})


@pytest.fixture(scope="module", params=MANIFEST["tasks"])
def trained(request, tmp_path_factory):
    """A converted head, and what was recorded."""
    folder = tmp_path_factory.mktemp("head")
    convert(locate_head(GOLDEN, choose_task(GOLDEN, request.param, None)[0]), folder)
    return load_head(folder), dict(np.load(GOLDEN / f"vectors/{request.param}.npz"))


def inputs_of(arrays, run, sides):
    """Return the rows that the head reads of each sequence, for each side."""
    kind = run.split("_")[0] if "single" not in run else "predict"
    rows = range(5) if run.endswith("batch") else [int(run[-1])]
    found = []
    for side in sides:
        matrices = [arrays[f"raw{side}_{row}"] for row in rows]
        if kind == "special":
            cls, sep = arrays["special_cls_sep"][:, None]
            matrices = [np.concatenate([cls, matrix, sep]) for matrix in matrices]
        found.append([cut(matrix, kind) for matrix in matrices])
    return found


def cut(matrix, kind):
    # The longest matrix is 40 rows at prediction and 12 in training, two of them for [CLS] and [SEP].
    longest = {"predict": 38, "train": 10, "special": 10, "nobos": 12}[kind]
    return rows_for_head(matrix, longest, special=kind == "special", frame=kind != "nobos")


@pytest.mark.parametrize("run", RUNS)
def test_forward_run(trained, run):
    head, arrays = trained
    if f"{run}/output" not in arrays and GOLDEN != PACKAGED / "downstream":
        pytest.skip("not recorded of this task")
    sides = ["_a", "_b"] if head.structure.sides == 2 else [""]
    vectors = []
    for side, (suffix, matrices) in enumerate(zip(sides, inputs_of(arrays, run, sides), strict=True)):
        masks = arrays[f"{run}/matrix_attention_masks{suffix}"]
        lengths = [len(matrix) for matrix in matrices]
        assert masks.sum(1).tolist() == lengths
        vectors.append(head.vectors(side, torch.from_numpy(np.concatenate(matrices)), lengths))
        # Where there are no connected layers, what is pooled is the vector itself.
        recorded = f"{run}/h.fc{suffix}" if head.structure.connected else f"{run}/h.pooled{suffix}"
        if recorded in arrays:
            np.testing.assert_allclose(vectors[-1].numpy(), arrays[recorded], **TOLERANCE)
    logits = head.logits(*vectors)
    np.testing.assert_allclose(logits.numpy(), arrays[f"{run}/logits"], **TOLERANCE)
    np.testing.assert_allclose(head.predictions(logits).numpy(), arrays[f"{run}/output"], **TOLERANCE)


@pytest.mark.skipif(GOLDEN != PACKAGED / "downstream", reason="of the packaged runs alone")
def test_every_recorded_run_is_compared():
    assert set(RUNS) == PACKAGED_RUNS
    assert sum(len(task["runs"]) for task in MANIFEST["tasks"].values()) == 144


@pytest.mark.parametrize("name", [name for name in POOLINGS if name != "none"])
@pytest.mark.parametrize("masked", [True, False])
def test_pooling(name, masked):
    arrays = dict(np.load(GOLDEN / "poolers.npz"))
    x, lengths = torch.from_numpy(arrays["x"]), arrays["mask"].sum(1)
    module = pooler(name, x.shape[2])
    state = {key.split("/")[2]: value for key, value in arrays.items() if key.startswith(f"{name}/param/")}
    module.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    for row, length in enumerate(lengths if masked else [x.shape[1]] * len(x)):
        with torch.no_grad():
            found = module(x[row, :length], [Run(1, int(length))])
        recorded = arrays[f"{name}/out" if masked else f"{name}/out_nomask"][row]
        np.testing.assert_allclose(found[0].numpy(), recorded, **TOLERANCE)
