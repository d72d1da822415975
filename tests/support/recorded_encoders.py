"""The recorded cases of ESM-2, DNABERT-2 and LucaOne's Hugging Face directories, in LucaFlow's options and outputs."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from golden_cases import golden_folder
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

from lucaflow.downstream.pooling import pooler
from lucaflow.encoders.packing import Run

GOLDEN = golden_folder("encoders")
CASES = [case for manifest in sorted(GOLDEN.glob("*_manifest.json")) for case in json.loads(manifest.read_text())]
TOLERANCE = {"atol": 2e-5, "rtol": 1e-5}
LOGITS = {"atol": 1e-4, "rtol": 0.0}
# Letters that LucaOneTasks keeps. Of proteins it removes a J, which LucaFlow reads as X.
KEPT = {"prot": set(string.ascii_uppercase) - {"J"}, "gene": set(string.ascii_uppercase)}
# LucaOneTasks' own defaults, by LucaFlow's names.
DEFAULTS = {"truncation_seq_length": 4094, "embedding_complete": False}
# Names of the dense layer, the norm and the matrix of a published language head, and of its bias.
_HEADS = {
    "lm_head.dense": ("lm_head.layer_norm", "lm_head.decoder.weight", "lm_head.bias"),
    "cls.predictions.transform.dense": (
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder.weight",
        "cls.predictions.decoder.bias",
    ),
}


class Wanted(NamedTuple):
    """An array that a run with these options of embedding must give. output: of embedding, or `logits` of its head."""

    options: dict[str, Any]
    output: str
    array: str


def seq_type_of(case: Mapping[str, Any]) -> str:
    return "gene" if case["kind"].startswith("dnabert2") else "prot"


def kept(case: Mapping[str, Any], seq_type: str) -> str:
    """Return the letters of a case that LucaOneTasks reads."""
    return "".join(letter for letter in case["sequence"].upper() if letter in KEPT[seq_type])


def recorded_arrays() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for path in GOLDEN.glob("*.npz"):
        with np.load(path) as file:
            found |= dict(file)
    return found


def wanted(case: Mapping[str, Any]) -> Iterator[Wanted]:
    """Yield all arrays of a case. Those with [MASK] have none, since no input of the workflow holds it."""
    if not case["kind"].endswith("_forward"):
        options = DEFAULTS | case["options"]
        is_vector = options.pop("embedding_type", "matrix") == "vector"
        yield Wanted(options, "cls" if is_vector else "matrix", case["array"])
        return
    if "masked" in case:
        return
    whole = {**DEFAULTS, "matrix_add_special_token": True}
    yield Wanted(whole, "logits", case["logits"])
    if "contacts" in case:
        yield Wanted({"outputs": ["contacts"], "contacts_max_length": 4094}, "contacts", case["contacts"])
    layers = case.get("layers", [])
    # Those of DNABERT-2 are of its blocks, those of ESM-2 begin with the input of the first one.
    first = 1 if case["kind"] == "dnabert2_forward" else 0
    for layer, array in enumerate(layers[:-1], start=first):
        yield Wanted(whole | {"layer": layer}, "matrix", array)
    for array in layers[-1:]:
        yield Wanted(whole, "matrix", array)


def by_options(cases: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[Mapping[str, Any], Wanted]]]:
    """Return the arrays of cases by the options of the run that gives them, as a name made of these."""
    found: dict[str, list[tuple[Mapping[str, Any], Wanted]]] = {}
    for case in cases:
        for each in wanted(case):
            stated = sorted((key, value) for key, value in each.options.items() if DEFAULTS.get(key) != value)
            name = ",".join(f"{key}={value}" for key, value in stated) or "defaults"
            found.setdefault(name, []).append((case, each))
    return found


def published_tensors(folder: Path) -> dict[str, Tensor]:
    """Return all tensors of a published directory, by their names there."""
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


def language_logits(x: Tensor, published: Mapping[str, Tensor], eps: float = 1e-5) -> Tensor:
    """Return the logits (n, letters) of hidden states (n, H) by the language head of a published directory."""
    dense = next(name for name in _HEADS if f"{name}.weight" in published)
    norm, matrix, bias = _HEADS[dense]
    tied = next(name for name in published if name.endswith("word_embeddings.weight") or name == matrix)
    x = gelu(x @ published[f"{dense}.weight"].T + published[f"{dense}.bias"])
    x = layer_norm(x, x.shape[-1:], published[f"{norm}.weight"], published[f"{norm}.bias"], eps=eps)
    return x @ published.get(matrix, published[tied]).T + published[bias]


def classified(case: Mapping[str, Any], x: Tensor, published: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of a classification model of LucaOne's port, from hidden states (n, H) with special tokens.

    Sequences are pooled as LucaOneTasks pools matrices; two names differ.
    """
    rows = x[1:-1]
    if "pooling" in case:
        pooling = pooler({"cls": "first", "mean": "avg"}.get(case["pooling"], case["pooling"]), x.shape[1])
        own = {name.removeprefix("pooler."): value for name, value in published.items() if name.startswith("pooler.")}
        pooling.load_state_dict(own)
        rows = pooling(x, [Run(1, len(x))]).detach()
    return rows @ published["classifier.weight"].T + published["classifier.bias"]
