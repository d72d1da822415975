"""How are trained weights saved in LucaOne's own layout, and loaded from it?"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from lucaflow.checkpoints.state_dicts import published_shapes
from lucaflow.files.checksums import sha256_of
from mini.network import CONFIG, MaskedLanguageModel


def published_state(model: MaskedLanguageModel) -> dict[str, Tensor]:
    """Return the tensors by LucaOne's names, in float16; rotary frequencies stay in float32."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.encoder.state_dict().items():
        names = published_shapes({name: tuple(tensor.shape)})
        parts = tensor.chunk(len(names))
        state |= {
            key: part if key.endswith("inv_freq") else part.half() for key, part in zip(names, parts, strict=True)
        }
    for name, tensor in model.state_dict().items():
        if not name.startswith("encoder."):
            state[f"lm_head.{name}"] = tensor.half()
    return {name: tensor.contiguous().clone() for name, tensor in state.items()}


def save(model: MaskedLanguageModel, root: Path) -> None:
    """Write config.json, pytorch.pth and logs.txt below `root`."""
    folder, logs = root / "llm/models/lucaone/mini/checkpoint-step1", root / "llm/logs/lucaone/mini"
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    architecture = asdict(CONFIG)
    torch.save(published_state(model), folder / "pytorch.pth")
    (folder / "config.json").write_text(json.dumps({"model_type": "lucaone", **architecture}, indent=2) + "\n")
    (logs / "logs.txt").write_text(json.dumps({"model_type": "lucaone", "tokenization": False, **architecture}) + "\n")


def load(root: Path) -> MaskedLanguageModel:
    """Return the network saved below `root`, with its head for masked tokens."""
    state = torch.load(root / "llm/models/lucaone/mini/checkpoint-step1/pytorch.pth", weights_only=True)
    model = MaskedLanguageModel()
    ours: dict[str, Tensor] = {}
    for name, tensor in model.encoder.state_dict().items():
        parts = [state[key].float() for key in published_shapes({name: tuple(tensor.shape)})]
        ours[f"encoder.{name}"] = torch.cat(parts)
    ours |= {name.removeprefix("lm_head."): tensor.float() for name, tensor in state.items() if "lm_head." in name}
    model.load_state_dict(ours)
    return model.eval()


def register(resources: Path) -> None:
    """Update the sizes and checksums of the packaged files in checkpoints.tsv and tasks.tsv."""
    for table in (resources / "checkpoints.tsv", resources / "tasks.tsv"):
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        for row in rows:
            if row["source"] == "packaged":
                files = [next((resources.parent / row["url"]).rglob(name)) for name in row["files"].split(",")]
                row["bytes"] = ",".join(str(path.stat().st_size) for path in files)
                row["sha256"] = ",".join(map(sha256_of, files))
        with table.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
