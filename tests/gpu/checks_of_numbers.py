"""A device gives the right numbers: against float64, the processor, and recorded results of LucaOne."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from itertools import groupby
from pathlib import Path

import networks
import numpy as np
import torch
from cases import (
    CPU,
    LIMITS,
    ROOT,
    SMALL,
    Check,
    NotHere,
    arithmetic,
    checkpoint,
    error_of,
    precisions_of,
    proteins,
    within,
)
from networks import Shape
from plain_lucaone import PlainLucaOne
from small_network import SOME, embedded, options

from lucaflow.checkpoints.conversion import convert
from lucaflow.checkpoints.converted_checkpoint import MODEL_NAME
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.loading import load_encoder
from lucaflow.checkpoints.model import Model
from lucaflow.downstream.networks import Head
from lucaflow.downstream.prediction import Predictor
from lucaflow.downstream.structure import EncoderStructure, HeadStructure
from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.lucaone import VOCABULARY
from lucaflow.engine.devices import DTYPE_OF_PRECISION
from lucaflow.engine.engine import Engine
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import CheckpointError, LucaFlowError
from lucaflow.records.sequences import NormalisedSequence

# Of one layer. Each is below the error of the next lower precision: a product in the wrong one is found.
LIMITS_OF_A_LAYER = {"float32": 5e-6, "tfloat32": 8e-4, "bfloat16": 4e-3}
GOLDEN = ROOT / "tests/golden/embedding"
BUDGETS = (1, 20, 10_000)


def against_float64(precision: str, device: torch.device, _: Path) -> str:
    """One layer, with 30 runs of one to three sequences, heads of 64 channels; on a GPU of LucaOne's width."""
    on_gpu = device.type == "cuda"
    shape = Shape("one layer", 1, 2560, 40) if on_gpu else Shape("one layer", 1, 256, 4)
    lengths = range(490, 190, -10) if on_gpu else range(63, 3, -2)
    sequences = proteins([length for number, length in enumerate(lengths) for _ in range(1 + number % 3)])
    with arithmetic(precision, device):
        encoder = networks.random_encoder(shape, device)
        plain = PlainLucaOne(shape.config, encoder.state_dict(), torch.float64)
        networks.prepare(encoder, precision)
        wanted = EmbeddingOptions(precision=precision, outputs=("matrix",))
        found = Engine(encoder, wanted, device, 10**9).matrices(sequences)
    expected = []
    for _length, run in groupby(sequences, key=lambda sequence: len(sequence.residues)):
        ids = torch.stack([torch.from_numpy(VOCABULARY.encode(sequence.residues, "prot")) for sequence in run]).to(
            device
        )
        hidden, _maps = plain(ids, torch.ones_like(ids))
        expected += list(hidden[:, 1:-1].cpu().numpy())
    return f"{shape.hidden_size} wide, 30 runs: " + within(error_of(found, expected), LIMITS_OF_A_LAYER[precision])


def loaded(folder: Path, device: torch.device, precision: str = "float32") -> Encoder:
    return load_encoder(folder, device, DTYPE_OF_PRECISION[precision])


def outputs_of(engine: Engine, sequences: list[NormalisedSequence]) -> dict[str, list[np.ndarray]]:
    """Return the matrices, and the vectors of each kind."""
    matrices, vectors = embedded(engine, sequences)
    return {"matrix": matrices, **{name: [values] for name, values in vectors.items()}}


def agrees(chosen: EmbeddingOptions, device: torch.device, folder: Path) -> float:
    """Return the largest error of all outputs over several budgets, against the processor's float32, one at a time."""
    in_float32 = EmbeddingOptions(**{**vars(chosen), "precision": "float32"})
    expected = outputs_of(Engine(loaded(folder, CPU), in_float32, CPU, 1), SOME)
    with arithmetic(chosen.precision, device):
        encoder = loaded(folder, device, chosen.precision)
        found = [outputs_of(Engine(encoder, chosen, device, budget), SOME) for budget in BUDGETS]
    return max(error_of(one[name], expected[name]) for one in found for name in expected)


def processor_agrees(device: torch.device, folder: Path) -> str:
    """All outputs in each precision, whatever the size of a batch."""
    small = checkpoint(folder)
    return "; ".join(
        within(agrees(options(precision=precision), device, small), LIMITS[precision], precision)
        for precision in precisions_of(device)
    )


def outputs_agree(device: torch.device, folder: Path) -> str:
    """Each layer's output, rows of [CLS] and [SEP], and windows."""
    ways = {
        "layers 0 to 2": [{"layer": layer} for layer in range(SMALL.layers + 1)],
        "special rows": [{"matrix_add_special_token": True}],
        "windows": [{"embedding_fixed_len_a_time": 10}, {"embedding_fixed_len_a_time": 10, "stitching": "centered"}],
    }
    small = checkpoint(folder)
    return "; ".join(
        within(max(agrees(options(**way), device, small) for way in group), LIMITS["float32"], name)
        for name, group in ways.items()
    )


def contacts(device: torch.device, folder: Path) -> str:
    """Contact maps, in each precision."""
    torch.manual_seed(1)
    head = ContactHead(SMALL.config).requires_grad_(False)

    def maps(encoder: Encoder, where: torch.device, precision: str) -> list[np.ndarray]:
        wanted = EmbeddingOptions(precision=precision, outputs=("mean", "contacts"))
        batches = Engine(encoder, wanted, where, 100, head.to(where)).embed(SOME)
        return [piece.rows for batch in batches for piece in batch.pieces]

    small, said = checkpoint(folder), []
    expected = maps(loaded(small, CPU), CPU, "float32")
    for precision in precisions_of(device):
        with arithmetic(precision, device):
            found = maps(loaded(small, device, precision), device, precision)
        said.append(within(error_of(found, expected), LIMITS[precision], precision))
    return "; ".join(said)


def structures() -> dict[str, HeadStructure]:
    """Return downstream models of several kinds, by name."""
    luca, bert = (EncoderStructure(rotary, 128, 2, 2, 256, 1e-5) for rotary in (True, False))
    narrow = EncoderStructure(False, 24, 1, 4, 48, 1e-5)
    rest = (24,), "gelu", 8, "tanh"
    return {
        "LucaOne's layers": HeadStructure((32,), 1, luca, "value_attention", *rest, 3, "softmax"),
        "BERT's layers": HeadStructure((32,), 1, bert, "attentive", *rest, 1, "sigmoid"),
        "heads of 6 channels": HeadStructure((32,), 1, narrow, "max", *rest, 1, "identity"),
        "pairs": HeadStructure((32, 32), 2, None, "context_attention", *rest, 1, "sigmoid"),
    }  # fmt: skip


def random_head(structure: HeadStructure) -> Head:
    torch.manual_seed(2)
    head = Head(structure)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for name, buffer in head.named_buffers():
        if name.endswith("inv_freq"):
            buffer.copy_(10000.0 ** (-torch.arange(len(buffer)) / len(buffer)))
    return head.eval().requires_grad_(False)


def heads(device: torch.device, _: Path) -> str:
    """Vectors and predictions of downstream models, all at once against one at a time on the processor."""
    draw = np.random.default_rng(0)
    matrices = [draw.standard_normal((rows, 32), dtype=np.float32) for rows in (40, 40, 25, 7, 7, 1)]
    said = []
    for name, structure in structures().items():
        try:
            found = predictions(Predictor(random_head(structure), device), [matrices])
        except LucaFlowError as error:
            if name != "heads of 6 channels":
                raise
            said.append(f"{name}: refused, {error}")
            continue
        expected = predictions(Predictor(random_head(structure), CPU), [[matrix] for matrix in matrices])
        said.append(within(error_of(found, expected), LIMITS["float32"], name))
    return "; ".join(said)


def predictions(predictor: Predictor, batches: list[list[np.ndarray]]) -> list[np.ndarray]:
    """Return the vectors of each tower and the outputs, for batches of matrices."""
    towers = range(len(predictor.head.towers))
    vectors = [np.concatenate([predictor.vectors(tower, batch) for batch in batches]) for tower in towers]
    return [*vectors, predictor.outputs_for(*vectors)]


def recorded(device: torch.device, folder: Path) -> str:
    """The recorded runs of LucaOne's own model class."""
    manifest = json.loads((GOLDEN / "manifest.json").read_text())
    cases = {case["id"]: case for case in manifest["cases"] if case["entry"] == "forward"}
    count = 0
    for name, entry in manifest["checkpoints"].items():
        case = cases[f"{name}/forward/batch-padded"]
        model, converted = Model(entry["llm_version"], int(entry["llm_step"])), folder / name
        converted.mkdir()
        convert(locate(GOLDEN / entry["llm_dir"], model), converted)
        ids = torch.tensor(case["inputs"]["input_ids"])
        types = torch.tensor(case["inputs"]["token_type_ids"] or torch.zeros_like(ids).tolist())
        lengths = case["inputs"].get("valid_lengths", [ids.shape[1]] * len(ids))
        packed = (torch.cat([row[:n] for row, n in zip(x, lengths, strict=True)]).to(device) for x in (ids, types))
        with torch.inference_mode():
            found = load_encoder(converted, device)(*packed, lengths).cpu().split(lengths)
        expected = np.load(GOLDEN / entry["arrays"])[case["outputs"][0]["array"]]
        for row, values in zip(expected, found, strict=True):
            np.testing.assert_allclose(values, row[: len(values)], atol=1e-4, rtol=1e-4, err_msg=name)
        count += len(found)
    return f"{count} sequences through {len(manifest['checkpoints'])} checkpoints, error at most 1e-4"


# Settings that make products of float32 less precise, on GPUs of NVIDIA and on processors.
LESS_PRECISE = {
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "NVIDIA_TF32_OVERRIDE": "1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
}
_EMBED = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import stand_ins
stand_ins.install()
import torch
from lucaflow import embed, load_encoder
from lucaflow.errors import DeviceError
torch.set_float32_matmul_precision("high")
try:
    found = embed(load_encoder(sys.argv[2], sys.argv[3]), {"a": sys.argv[4]}, "prot")
except DeviceError as error:
    print(json.dumps(str(error)))
else:
    print(json.dumps(found["a"].tolist()))
"""


def float32_whatever_is_set(device: torch.device, folder: Path) -> str:
    """In a process whose settings allow less precise products, `embed` gives float32's numbers or refuses."""
    small, residues = checkpoint(folder), SOME[0].residues
    with torch.inference_mode():
        (expected,) = Engine(loaded(small, CPU), options(outputs=("mean",)), CPU, 1).embed(SOME[:1])
    paths = json.dumps([str(ROOT / "scripts"), str(Path(__file__).parent)])
    command = [sys.executable, "-c", _EMBED, paths, str(small), str(device), residues]
    run = subprocess.run(command, env=os.environ | LESS_PRECISE, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout)
    if isinstance(found, str):
        return f"refused: {found}"
    return within(error_of([np.array(found)], [expected.vectors["mean"][0]]), LIMITS["float32"])


def damaged_weights(device: torch.device, folder: Path) -> str:
    """A bit of the weights that changed is found when they are loaded."""
    damaged = folder / "damaged"
    damaged.mkdir()
    for path in checkpoint(folder).iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    with (damaged / MODEL_NAME).open("r+b") as file:
        file.seek(-1000, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1000, os.SEEK_END)
        file.write(bytes([byte ^ 1]))
    try:
        load_encoder(damaged, device)
    except CheckpointError as error:
        return f"refused: {str(error).replace(str(damaged), 'the folder')}"
    raise AssertionError("damaged weights were loaded")


def forced_by_hand(device: torch.device, _: Path) -> str:
    """How far TensorFloat32 is from float32 in one product, so that the limits above mean something."""
    if "tfloat32" not in precisions_of(device):
        raise NotHere("needs a GPU with TensorFloat32")
    torch.manual_seed(0)
    x = torch.randn(512, 2560, device=device)
    exact = (x.double() @ x.double().T).cpu().numpy()
    with arithmetic("tfloat32", device):
        rough = error_of([(x @ x.T).cpu().numpy()], [exact])
    close = error_of([(x @ x.T).cpu().numpy()], [exact])
    assert close < 1e-6 < rough, f"float32 {close:.1e}, TensorFloat32 {rough:.1e}"
    return f"TensorFloat32 {rough:.1e}, float32 {close:.1e}"


CHECKS = [
    *(Check(f"a layer in {precision} against float64", partial(against_float64, precision)) for precision in LIMITS),
    Check("a product in TensorFloat32", forced_by_hand),
    Check("recorded results of LucaOne", recorded),
    Check("the processor's numbers", processor_agrees),
    Check("layers, special rows, windows", outputs_agree),
    Check("contacts", contacts),
    Check("downstream models", heads),
    Check("float32, whatever is set", float32_whatever_is_set),
    Check("damaged weights", damaged_weights),
]
