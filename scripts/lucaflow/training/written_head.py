"""Write a trained downstream model in LucaOneTasks' layout, so that LucaOneTasks and LucaFlow can predict with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lucaflow import __version__
from lucaflow.checkpoints.converted_checkpoint import CHECKPOINT_RECORD
from lucaflow.downstream.conversion import convert
from lucaflow.downstream.lucaonetasks import Task
from lucaflow.downstream.models import locate_head
from lucaflow.downstream.networks import Head
from lucaflow.downstream.structure import HeadStructure
from lucaflow.files.sealed import sealed
from lucaflow.files.writing import replacing_folder, write_json
from lucaflow.training.options import TrainingOptions
from lucaflow.training.requested import RequestedTraining
from lucaflow.training.state import EpochRecord

_QKV = ("q_proj", "k_proj", "v_proj")
# Our names in BERT's layers, and LucaOneTasks'.
_OF_BERT = {
    "self_attn.q_proj.": "attention.self.query.",
    "self_attn.k_proj.": "attention.self.key.",
    "self_attn.v_proj.": "attention.self.value.",
    "self_attn.out_proj.": "attention.output.dense.",
    "attention_norm.": "attention.output.LayerNorm.",
    "fc1.": "intermediate.dense.",
    "fc2.": "output.dense.",
    "output_norm.": "output.LayerNorm.",
}
_RULE = "#" * 50


def write_head(
    folder: Path, training: RequestedTraining, model: str, task: Task, head: Head, classes: Sequence[str],
    records: Sequence[EpochRecord],
) -> None:  # fmt: skip
    """Write models/... and logs/... into `folder`, in place of what is there.

    model: the name of the encoder; task: the names of its folders; records: of the epochs.
    """
    with replacing_folder(folder) as root:
        models, logs = root / "models" / task.folder / task.checkpoint, root / "logs" / task.folder
        for path in (models, logs):
            path.mkdir(parents=True)
        structure = head.structure
        config = config_of(structure, training.options)
        (models / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        tensors = published_tensors(head)
        save_file(tensors, models / "model.safetensors", {"format": "pt"})
        (models / "model.safetensors").chmod((models / "config.json").stat().st_mode)
        label = "".join(f"{name}\n" for name in ("label", *(classes or ("0",))))
        (logs / "label.txt").write_text(label, encoding="utf-8")
        lines = [json.dumps(arguments_of(training, model, task, structure, classes), indent=4, sort_keys=True), _RULE]
        lines += [json.dumps(_logged(record), sort_keys=True) for record in records]
        (logs / "logs.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def convert_written(root: Path, task: Task, folder: Path) -> dict[str, Any]:
    """Convert a model that `write_head` wrote, for predictions; return its record, which has no date.

    So the same training ends in the same bytes.
    """
    record = convert(locate_head(root, task), folder)
    dateless = sealed({name: value for name, value in record.items() if name != "date"})
    write_json(folder / CHECKPOINT_RECORD, dateless)
    return dateless


def published_tensors(head: Head) -> dict[str, Tensor]:
    """Return the parameters by LucaOneTasks' names: query, key and value are separate."""
    found: dict[str, Tensor] = {}
    for name, tensor in head.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        if ".qkv_proj." in name:
            thirds = zip(_QKV, plain.chunk(3), strict=True)
            parts = {name.replace("qkv_proj", projection): part.clone() for projection, part in thirds}
        else:
            parts = {name.replace(".inv_freq", ".rot_emb.inv_freq"): plain}
        found |= {published_name(each, head.structure): value for each, value in parts.items()}
    return found


def published_name(name: str, structure: HeadStructure) -> str:
    """Return LucaOneTasks' name of a parameter.

    >>> from lucaflow.training.options import options_of, structure_of
    >>> options = options_of({"task_type": "regression", "model_type": "lucappi2"})
    >>> published_name("towers.1.connected.1.bias", structure_of(options, (8, 8), 1))
    'linear_b.0.2.bias'
    """
    if not name.startswith("towers."):
        return name
    _, number, part, rest = name.split(".", 3)
    side = f"_{'ab'[int(number)]}" if len(structure.inputs) == 2 else ""
    if part == "connected":
        # Activations between the layers are numbered too.
        layer, _, last = rest.partition(".")
        return f"linear{side}.0.{2 * int(layer)}.{last}"
    if part == "pooler":
        return f"matrix_pooler{side}.{rest}"
    if rest.startswith("layers."):
        _, layer, inner = rest.split(".", 2)
        rotary = structure.encoder is not None and structure.encoder.rotary
        rest = f"encoder.{layer}.{inner}" if rotary else f"encoder.layer.{layer}.{_of_bert(inner)}"
    return f"matrix_encoder{side}.0.{rest}"


def _of_bert(name: str) -> str:
    ours = next(prefix for prefix in _OF_BERT if name.startswith(prefix))
    return _OF_BERT[ours] + name.removeprefix(ours)


def _sides(structure: HeadStructure, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """Return a number of each side as config.json has it: under the plain name, unless the sides have their own."""
    if len(structure.inputs) == 1:
        return {name: values[0]}
    return {name: None, **{f"{name}_{side}": value for side, value in zip("ab", values, strict=True)}}


def config_of(structure: HeadStructure, options: TrainingOptions) -> dict[str, Any]:
    """Return config.json."""
    longest = options.matrix_max_length
    outputs = structure.outputs
    return {
        "alphabet": "gene_prot",
        "architectures": [{"luca_base": "LucaBase", "lucappi": "LucaPPI", "lucappi2": "LucaPPI2"}[options.model_type]],
        "attention_probs_dropout_prob": options.dropout_prob,
        "classifier_activate_func": options.classifier_activate_func,
        "classifier_dropout_prob": options.dropout_prob,
        "classifier_size": options.classifier_size,
        **_sides(structure, "embedding_input_size", structure.inputs),
        "emb_activate_func": "gelu",
        "fc_activate_func": options.fc_activate_func,
        "hidden_act": "gelu",
        "hidden_dropout_prob": options.dropout_prob,
        "hidden_size": options.hidden_size,
        "id2label": {str(number): f"LABEL_{number}" for number in range(outputs)},
        "ignore_index": -100,
        "initializer_range": 0.02,
        "intermediate_size": options.intermediate_size,
        "label2id": {f"LABEL_{number}": number for number in range(outputs)},
        "layer_norm_eps": 1e-12,
        "loss_reduction": options.loss_reduction,
        "matrix_fc_size": list(options.matrix_fc_size) or None,
        "matrix_max_length": longest,
        "matrix_pooling_type": "none" if structure.is_token_level else structure.pooling,
        "max_position_embeddings": longest + 2,
        "no_position_embeddings": True,
        "no_token_embeddings": True,
        "no_token_type_embeddings": True,
        "num_attention_heads": options.num_attention_heads,
        "num_hidden_layers": options.num_hidden_layers,
        "pos_weight": options.pos_weight,
        "seq_max_length": longest,
        "torch_dtype": "float32",
        "type_vocab_size": 2,
        "use_luca_layer_norm_v2": True,
        "vocab_size": 39,
        **({"weight": list(options.weight)} if options.weight else {}),
    }


def arguments_of(
    training: RequestedTraining, model: str, task: Task, structure: HeadStructure, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the arguments of the training, by LucaOneTasks' names."""
    options, encoder = training.options, training.model(model)
    stated = asdict(options)
    for name in ("matrix_fc_size", "weight"):
        stated[name] = ",".join(map(str, stated[name])) or "null"
    return {
        **stated,
        **_sides(structure, "embedding_input_size", structure.inputs),
        "best_metric_type": options.best_metric,
        "dataset_name": task.name,
        "dataset_type": task.dataset_type,
        "embedding_complete": True,
        "embedding_complete_seg_overlap": False,
        "embedding_fixed_len_a_time": None,
        "evaluate_during_training": True,
        "fusion_type": "add" if options.is_token_level else "concat",
        "ignore_index": -100,
        "input_mode": "pair" if task.is_pair else "single",
        "label_size": len(classes) or 1,
        "label_type": task.name,
        "llm_dirpath": "",
        "llm_step": "" if encoder.llm_step is None else str(encoder.llm_step),
        "llm_type": "lucaone",
        "llm_version": encoder.llm_version,
        "loss_type": options.loss,
        "lucaflow_version": __version__,
        "output_mode": options.task_type,
        "seq_max_length": options.matrix_max_length,
        "sigmoid": options.task_type in ("binary_class", "multi_label"),
        "trunc_type": "right",
    }


def _logged(record: EpochRecord) -> Mapping[str, Any]:
    """Return the line of an epoch."""
    return {
        **{f"eval_{name}": value for name, value in record.dev.items()},
        **{f"test_{name}": value for name, value in record.test.items()},
        "epoch": record.epoch,
        "lr": record.rate,
        "step": record.step,
        "train_cur_epoch_avg_loss": record.train_loss,
        "update_flag": record.improved,
    }
