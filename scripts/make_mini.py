"""Draw the weights of `mini`, the small checkpoint that comes with LucaFlow, in LucaOne's own layout.

The weights have learned nothing: each tensor is drawn from a generator whose seed is a digest of the tensor's name.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from lucaflow.conversion import expected_shapes
from lucaflow.encoder import EncoderConfig

SEED = "lucaflow/mini/1/"
CONFIG = EncoderConfig(
    num_hidden_layers=6,
    hidden_size=128,
    num_attention_heads=4,
    no_position_embeddings=True,
    token_dropout=False,
    use_embed_layer_norm=False,
)


def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a tensor by a fixed rule: norms start neutral, matrices keep the scale of what they multiply."""
    if name.endswith("inv_freq"):
        return torch.from_numpy(10000.0 ** (-np.arange(shape[0]) / shape[0])).float()
    if "layer_norm" in name:
        return torch.full(shape, float(name.endswith("weight")), dtype=torch.float16)
    if name.endswith("bias"):
        return torch.zeros(shape, dtype=torch.float16)
    seed = int.from_bytes(hashlib.sha256((SEED + name).encode()).digest()[:8], "little")
    scale = 1.0 if name.startswith("embed_") else shape[1] ** -0.5
    return torch.from_numpy(scale * np.random.default_rng(seed).standard_normal(shape)).half()


def main(root: Path) -> None:
    """Write config.json, pytorch.pth and logs.txt below `root`."""
    folder = root / "llm/models/lucaone/mini/checkpoint-step1"
    logs = root / "llm/logs/lucaone/mini"
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    architecture = CONFIG.to_dict()
    state = {name: draw(name, shape) for name, shape in expected_shapes(CONFIG).items()}
    torch.save(state, folder / "pytorch.pth")
    (folder / "config.json").write_text(json.dumps({"model_type": "lucaone", **architecture}, indent=2) + "\n")
    (logs / "logs.txt").write_text(json.dumps({"model_type": "lucaone", "tokenization": False, **architecture}) + "\n")


if __name__ == "__main__":
    main(Path(__file__).resolve().parent.parent / "resources/mini")
