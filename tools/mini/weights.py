"""How are trained weights saved in the layout that their family is published in, and loaded from it?"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lucaflow.checkpoints.known_models import MODELS
from lucaflow.checkpoints.state_dicts import published_shapes
from lucaflow.encoders.lucaone import LucaOne
from lucaflow.files.checksums import sha256_of
from mini.network import MaskedLanguageModel
from mini.recipes import Recipe

# The Hugging Face names of ESM-2's tensors, after `esm.`; those of its head follow `lm_head.`, as LucaOne's do.
_HUGGINGFACE = {
    r"embed_tokens\.": "embeddings.word_embeddings.",
    r"layers\.(\d+)\.pre_layer_norm\.": r"encoder.layer.\1.attention.LayerNorm.",
    r"layers\.(\d+)\.self_attn\.(query|key|value)\.": r"encoder.layer.\1.attention.self.\2.",
    r"layers\.(\d+)\.self_attn\.out_proj\.": r"encoder.layer.\1.attention.output.dense.",
    r"layers\.(\d+)\.self_attn\.rot_emb\.": r"encoder.layer.\1.attention.self.rotary_embeddings.",
    r"layers\.(\d+)\.post_layer_norm\.": r"encoder.layer.\1.LayerNorm.",
    r"layers\.(\d+)\.fc1\.": r"encoder.layer.\1.intermediate.dense.",
    r"layers\.(\d+)\.fc2\.": r"encoder.layer.\1.output.dense.",
    r"last_layer_norm\.": "encoder.emb_layer_norm_after.",
}


def _huggingface_name(name: str) -> str:
    """Return the name that Hugging Face has for a tensor of ESM-2. name: LucaOne's."""
    name = re.sub(r"self_attn\.([qkv])_proj\.", lambda found: f"self_attn.{_PROJECTIONS[found[1]]}.", name)
    for pattern, replacement in _HUGGINGFACE.items():
        if re.match(pattern, name):
            return f"esm.{re.sub(pattern, replacement, name)}"
    raise ValueError(f"{name} is no tensor of ESM-2")


_PROJECTIONS = {"q": "query", "k": "key", "v": "value"}


def _names_of(recipe: Recipe, name: str, shape: Iterable[int]) -> list[str]:
    """Return the published names of a tensor of the encoder, or of its parts."""
    names = list(published_shapes({name: tuple(shape)}))
    return names if recipe.kind is LucaOne else [_huggingface_name(each) for each in names]


def published_state(model: MaskedLanguageModel, recipe: Recipe) -> dict[str, Tensor]:
    """Return the tensors by their published names, in float16; rotary frequencies stay in float32."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.encoder.state_dict().items():
        names = _names_of(recipe, name, tensor.shape)
        parts = tensor.chunk(len(names))
        state |= {
            key: part if key.endswith("inv_freq") else part.half() for key, part in zip(names, parts, strict=True)
        }
    for name, tensor in model.state_dict().items():
        if not name.startswith("encoder."):
            state[f"lm_head.{name}"] = tensor.half()
    return {name: tensor.contiguous().clone() for name, tensor in state.items()}


def root_of(recipe: Recipe, resources: Path) -> Path:
    """Return the folder of a packaged network. resources: the folder `resources`."""
    return resources.parent / str(MODELS[recipe.model.llm_version].packaged)


def folder_of(recipe: Recipe, resources: Path) -> Path:
    """Return the folder in which the weights of a recipe are packaged. resources: the folder `resources`."""
    model, root = recipe.model, root_of(recipe, resources)
    in_root = f"llm/models/lucaone/{model.llm_version}/checkpoint-step{model.llm_step}"
    return root / in_root if recipe.kind is LucaOne else root


def save(model: MaskedLanguageModel, recipe: Recipe, resources: Path) -> None:
    """Write the weights and their description: LucaOne's layout, or a Hugging Face directory for an ESM-2."""
    folder = folder_of(recipe, resources)
    folder.mkdir(parents=True, exist_ok=True)
    state = published_state(model, recipe)
    if recipe.kind is not LucaOne:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(_stated(recipe), indent=2) + "\n")
        (folder / "vocab.txt").write_text("\n".join(recipe.kind.vocabulary.symbols) + "\n")
        return
    logs = resources / f"mini/llm/logs/lucaone/{recipe.model.llm_version}"
    logs.mkdir(parents=True, exist_ok=True)
    architecture = asdict(recipe.config)
    torch.save(state, folder / "pytorch.pth")
    (folder / "config.json").write_text(json.dumps({"model_type": "lucaone", **architecture}, indent=2) + "\n")
    if recipe.model.llm_step == 1:
        (logs / "logs.txt").write_text(
            json.dumps({"model_type": "lucaone", "tokenization": False, **architecture}) + "\n"
        )


def _stated(recipe: Recipe) -> dict[str, Any]:
    """Return config.json of an ESM-2 in a Hugging Face directory."""
    config = recipe.config
    return {
        "architectures": ["EsmForMaskedLM"],
        "model_type": "esm",
        "emb_layer_norm_before": False,
        "hidden_act": "gelu",
        "hidden_size": config.hidden_size,
        "intermediate_size": 4 * config.hidden_size,
        "is_folding_model": False,
        "layer_norm_eps": 1e-5,
        "mask_token_id": recipe.kind.vocabulary.mask_id,
        "max_position_embeddings": 1026,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers,
        "pad_token_id": recipe.kind.vocabulary.id_of("<pad>"),
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "torch_dtype": "float16",
        "vocab_list": None,
        "vocab_size": len(recipe.kind.vocabulary),
    }


def load(recipe: Recipe, resources: Path) -> MaskedLanguageModel:
    """Return the packaged network of a recipe, with its head for masked tokens."""
    folder = folder_of(recipe, resources)
    if recipe.kind is LucaOne:
        state = torch.load(folder / "pytorch.pth", weights_only=True)
    else:
        state = load_file(folder / "model.safetensors")
    model = recipe.network()
    ours: dict[str, Tensor] = {}
    for name, tensor in model.encoder.state_dict().items():
        parts = [state[key].float() for key in _names_of(recipe, name, tensor.shape)]
        ours[f"encoder.{name}"] = torch.cat(parts)
    ours |= {name.removeprefix("lm_head."): tensor.float() for name, tensor in state.items() if "lm_head." in name}
    model.load_state_dict(ours)
    return model.eval()


def register(resources: Path, recipe: Recipe) -> None:
    """Update the sizes and checksums of the packaged files of a recipe in checkpoints.tsv and tasks.tsv."""
    tables = {resources / "checkpoints.tsv": ("version", recipe.model.llm_version, recipe.model.llm_step)}
    if recipe.heads:
        tables[resources / "tasks.tsv"] = ("source", "packaged", None)
    for table, (column, value, step) in tables.items():
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        for row in rows:
            if row["source"] == "packaged" and row[column] == value and (not step or row["step"] == str(step)):
                files = [_below(resources.parent / row["url"], name) for name in row["files"].split(",")]
                row["bytes"] = ",".join(str(path.stat().st_size) for path in files)
                row["sha256"] = ",".join(map(sha256_of, files))
        with table.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, list(rows[0]), delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _below(folder: Path, name: str) -> Path:
    return next(folder.rglob(name))
