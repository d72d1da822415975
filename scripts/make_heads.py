"""Draw the weights of the small downstream models that come with LucaFlow, in LucaOneTasks' own layout.

They have learned nothing, no more than `mini`, whose embeddings they read: they show what predicting looks like.
"""

import json
from pathlib import Path

import torch

from make_mini import CONFIG, draw

WIDTH = CONFIG.hidden_size
CLASSIFIER = 32
TIME, STEP = "20260101000000", "1"
ARGUMENTS = {
    "alphabet": "gene_prot",
    "classifier_activate_func": "gelu",
    "embedding_complete": False,
    "input_type": "matrix",
    "llm_dirpath": "../llm/models/lucaone/mini/checkpoint-step1",
    "llm_step": "1",
    "llm_version": "mini",
    "matrix_add_special_token": False,
    "matrix_encoder": False,
    "matrix_max_length": 4096,
    "matrix_pooling_type": "value_attention",
    "not_append_eos": False,
    "not_prepend_bos": False,
    "seq_max_length": 4096,
    "trunc_type": "right",
}
CONFIGURATION = {
    "classifier_activate_func": "gelu",
    "fc_activate_func": "gelu",
    "matrix_pooling_type": "value_attention",
    "use_luca_layer_norm_v2": True,
}


def parameters(sides: tuple[str, ...], connected: int | None, outputs: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes as LucaOneTasks has them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for side in sides:
        shapes |= {f"matrix_pooler{side}.{name}": (WIDTH, WIDTH) for name in "UVW"}
        if connected:
            shapes |= {f"linear{side}.0.0.weight": (connected, WIDTH), f"linear{side}.0.0.bias": (connected,)}
    vector = (connected or WIDTH) * len(sides)
    return shapes | {
        "hidden_layer.weight": (CLASSIFIER, vector),
        "hidden_layer.bias": (CLASSIFIER,),
        "classifier.weight": (outputs, CLASSIFIER),
        "classifier.bias": (outputs,),
    }


def write(root: Path, task: tuple[str, str, str, str], shapes: dict[str, tuple[int, ...]], labels: list[str]) -> None:
    """Write one model below `root`. task: name, dataset_type, task_type, model_type."""
    name, dataset_type, task_type, model_type = task
    place = f"{name}/{dataset_type}/{task_type}/{model_type}/matrix/{TIME}"
    folder, logs = root / "models" / place / f"checkpoint-{STEP}", root / "logs" / place
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    torch.save({key: draw(f"{name}.{key}", shape) for key, shape in shapes.items()}, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(CONFIGURATION, indent=2) + "\n")
    pair = model_type != "luca_base"
    arguments = {
        **ARGUMENTS,
        "dataset_name": name,
        "input_mode": "pair" if pair else "single",
        "output_mode": task_type,
    }
    (logs / "logs.txt").write_text(json.dumps(arguments, sort_keys=True) + "\n")
    (logs / "label.txt").write_text("\n".join(["label", *labels]) + "\n")


def main(root: Path) -> None:
    """Write both models: one reads a protein, one a gene and a protein."""
    locations = ["Membrane", "Mitochondrion", "Nucleus", "Secreted"]
    single = ("MiniProtLoc", "protein", "multi_class", "luca_base")
    write(root, single, parameters(("",), None, len(locations)), locations)
    pair = ("MiniCentralDogma", "gene_protein", "binary_class", "lucappi2")
    write(root, pair, parameters(("_a", "_b"), 32, 1), ["0", "1"])


if __name__ == "__main__":
    main(Path(__file__).resolve().parent.parent / "resources/heads")
