"""What a downstream model predicts, from which sequences, and with which network, by LucaOneTasks' files.

Pure functions of the files beside the weights: the arguments in logs.txt, config.json, and label.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lucaflow.downstream.stated_numbers import axis_of, positive_number, refuse_differing, whole_number
from lucaflow.downstream.structure import EACH_ROW, EncoderStructure, HeadStructure
from lucaflow.errors import CheckpointError, quoted

TASK_TYPES = ("binary_class", "multi_class", "multi_label", "regression")
_SQUASHING = {"binary_class": "sigmoid", "multi_label": "sigmoid", "multi_class": "softmax", "regression": "identity"}
_SIDES_OF_NETWORK = {"luca_base": 1, "lucappi": 2, "lucappi2": 2}
_SEQ_TYPE = {"gene": "gene", "protein": "prot"}
# Epsilon of LucaOne's layer norms, and of those of the version before them.
_EPS, _OLD_EPS = 1e-5, 1e-12
_HEADS = "num_attention_heads"


# How the `time_str` of a model begins that LucaFlow has trained.
OF_LUCAFLOW = "lucaflow-"


@dataclass(frozen=True)
class Task:
    """A downstream model, by the names of its folders in LucaOneTasks. input_type: `matrix` or `vector`."""

    name: str
    dataset_type: str
    task_type: str
    model_type: str
    time_str: str
    step: str
    input_type: str = "matrix"

    @property
    def stated(self) -> dict[str, str]:
        """Its names as records have them. Those of before there were vectors stay."""
        return {name: value for name, value in asdict(self).items() if name != "input_type" or value != "matrix"}

    @property
    def is_pair(self) -> bool:
        """Whether it reads two sequences."""
        return _SIDES_OF_NETWORK[self.model_type] == 2

    @property
    def seq_types(self) -> tuple[str, ...]:
        """`gene` or `prot` for each sequence that it reads."""
        types = tuple(_SEQ_TYPE[name] for name in self.dataset_type.split("_"))
        return types * 2 if self.is_pair and len(types) == 1 else types

    @property
    def checkpoint(self) -> str:
        """The folder of its weights, within `folder` below models/."""
        return self.step if self.step == "best" else f"checkpoint-{self.step}"

    @property
    def folder(self) -> str:
        """The folder of its files below models/ and logs/."""
        parts = self.name, self.dataset_type, self.task_type, self.model_type, self.input_type, self.time_str
        return "/".join(parts)


def folder_name_problems(task: Task) -> list[str]:
    """Return the problems with the names of a task's folders: unknown values, or values that do not fit each other."""
    known = {
        "dataset_type": (task.dataset_type.split("_"), set(_SEQ_TYPE)),
        "task_type": ([task.task_type], set(TASK_TYPES)),
        "model_type": ([task.model_type], set(_SIDES_OF_NETWORK)),
    }
    return [
        f"{name} is {getattr(task, name)!r}, expected {', '.join(sorted(allowed))}"
        for name, (parts, allowed) in known.items()
        if not set(parts) <= allowed
    ] or _dataset_type_problems(task)


def _dataset_type_problems(task: Task) -> list[str]:
    """Return why a network cannot read the sequences that its dataset_type names."""
    if len(task.dataset_type.split("_")) <= (2 if task.is_pair else 1):
        return []
    return [f"{task.model_type} reads {'two sequences' if task.is_pair else 'one sequence'}, not {task.dataset_type}"]


_PART = re.compile(r"(matrix_encoder|matrix_pooler|linear)(_[ab])?\.(.*)")
# LucaOneTasks' names in an encoder, and ours, replaced in this order: the list of layers, then BERT's parts.
_RENAMED = {
    "encoder.layer.": "layers.",
    "encoder.": "layers.",
    "attention.self.query.": "self_attn.q_proj.",
    "attention.self.key.": "self_attn.k_proj.",
    "attention.self.value.": "self_attn.v_proj.",
    "attention.output.dense.": "self_attn.out_proj.",
    "attention.output.LayerNorm.": "attention_norm.",
    "intermediate.dense.": "fc1.",
    "output.dense.": "fc2.",
    "output.LayerNorm.": "output_norm.",
}


def renamed(names: Iterable[str]) -> dict[str, str]:
    """Return our name for each of LucaOneTasks' parameters, without buffers of the loss.

    Unknown names stay as they are: the error message lists them.
    """
    found = {}
    for name in names:
        plain = name.removeprefix("module.")
        if not plain.startswith("loss_fct."):
            part = _PART.fullmatch(plain)
            found[name] = _renamed_part(part[1], part[2], part[3]) if part else plain
    return _numbered(found)


def _renamed_part(part: str, side: str | None, rest: str) -> str:
    if part == "matrix_encoder":
        for theirs, ours in _RENAMED.items():
            rest = rest.replace(theirs, ours)
        ours = f"encoder.{rest.removeprefix('0.')}"
    else:
        ours = f"pooler.{rest}" if part == "matrix_pooler" else f"connected.{rest.removeprefix('0.')}"
    return f"towers.{int(side == '_b')}.{ours}"


def _numbered(found: dict[str, str]) -> dict[str, str]:
    """Number the fully connected layers without gaps. LucaOneTasks numbers the activations between them as well."""
    numbers: dict[str, list[int]] = {}
    layer = re.compile(r"^(towers\.\d\.connected)\.(\d{1,9})\.")
    for name in found.values():
        if match := layer.match(name):
            numbers.setdefault(match[1], []).append(int(match[2]))
    return {
        theirs: layer.sub(lambda m: f"{m[1]}.{sorted(set(numbers[m[1]])).index(int(m[2]))}.", ours)
        for theirs, ours in found.items()
    }


def structure_of(
    shapes: Mapping[str, Sequence[int]], task: Task, arguments: Mapping[str, Any], config: Mapping[str, Any]
) -> HeadStructure:
    """Return the structure of a model, from the shapes of its parameters (by our names) and its files.

    Raises KeyError for a missing parameter that decides the structure, ValueError for an unsupported value, and for a
    number of config.json that the shapes do not confirm.
    """
    towers = 2 if task.model_type == "lucappi2" else 1
    connected = [name for name in shapes if re.fullmatch(r"towers\.0\.connected\.\d+\.weight", name)]
    squashing = "sigmoid" if arguments.get("sigmoid") else _SQUASHING[arguments.get("output_mode") or task.task_type]
    structure = HeadStructure(
        inputs=tuple(_input_width(shapes, number, towers, config) for number in range(towers)),
        sides=2 if task.is_pair else 1,
        encoder=_encoder_of(shapes, config),
        pooling=_pooling(arguments, config),
        connected=tuple(axis_of(shapes, f"towers.0.connected.{number}.weight", 0) for number in range(len(connected))),
        connected_activation=_function(config, "fc_activate_func"),
        hidden=axis_of(shapes, "hidden_layer.weight", 0),
        hidden_activation=_function(arguments, "classifier_activate_func")
        or _function(config, "classifier_activate_func"),
        outputs=axis_of(shapes, "classifier.weight", 0),
        squashing=squashing,
    )
    refuse_differing(config, _confirmed(structure, config))
    return structure


def _pooling(arguments: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if arguments.get("task_level_type", "seq_level") == "token_level":
        return EACH_ROW
    return str(config.get("matrix_pooling_type") or arguments.get("matrix_pooling_type") or "none")


def _function(stated: Mapping[str, Any], key: str) -> str:
    name = stated.get(key) or ""
    if not isinstance(name, str):
        raise ValueError(f"{key} is {quoted(name)}, expected the name of a function")
    return name


def _key_of_input(tower: int, towers: int, config: Mapping[str, Any]) -> str:
    """Return the key of config.json that states the width of the embedding that a tower reads."""
    key = "embedding_input_size" if towers == 1 else f"embedding_input_size_{'ab'[tower]}"
    return key if config.get(key) else "embedding_input_size"


def _confirmed(structure: HeadStructure, config: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers that the shapes of the parameters confirm, by their keys in config.json."""
    towers = len(structure.inputs)
    found = {_key_of_input(tower, towers, config): width for tower, width in enumerate(structure.inputs)}
    found["classifier_size"] = structure.hidden
    if encoder := structure.encoder:
        found |= {
            "hidden_size": encoder.width,
            "num_hidden_layers": encoder.layers,
            _HEADS: encoder.heads,
            "intermediate_size": encoder.intermediate,
        }
    return found


def _input_width(shapes: Mapping[str, Sequence[int]], tower: int, towers: int, config: Mapping[str, Any]) -> int:
    """Return the width E of the embedding that a tower reads: from its first layer, or else from config.json."""
    prefix = f"towers.{tower}."
    for name, axis in (("encoder.embeddings.weight", 1), ("pooler.linear_proj.weight", 1), ("pooler.U", 0),
                       ("pooler.W", 0), ("connected.0.weight", 1)):  # fmt: skip
        if prefix + name in shapes:
            return axis_of(shapes, prefix + name, axis)
    key = _key_of_input(tower, towers, config)
    if not config.get(key):
        raise ValueError(f"neither its parameters nor config.json states the width of the embedding ({key})")
    width = whole_number("config.json", config, key)
    # The rows are pooled as they are, and the next layer reads the vectors of all sides.
    if width > axis_of(shapes, "hidden_layer.weight", 1):
        shape = tuple(shapes["hidden_layer.weight"])
        raise ValueError(f"config.json: {key} is {quoted(width)}, but hidden_layer.weight has shape {shape}")
    return width


def _encoder_of(shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any]) -> EncoderStructure | None:
    prefix = "towers.0.encoder."
    if f"{prefix}embeddings.weight" not in shapes:
        return None
    layers = {name.split(".")[4] for name in shapes if name.startswith(f"{prefix}layers.")}
    width = axis_of(shapes, f"{prefix}embeddings.weight", 0)
    inv_freq = f"{prefix}layers.0.self_attn.rot_emb.inv_freq"
    rotary = inv_freq in shapes
    if not rotary and config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"hidden_act is {config['hidden_act']!r}, expected `gelu`")
    heads = _rotary_heads(shapes, inv_freq, width) if rotary else whole_number("config.json", config, _HEADS)
    if width % heads:
        raise ValueError(
            f"config.json: {_HEADS} is {quoted(heads)}, which does not divide the encoder's width, {width}"
        )
    eps = _EPS if config.get("use_luca_layer_norm_v2", True) else _OLD_EPS
    if not rotary:
        eps = positive_number("config.json", {"layer_norm_eps": _OLD_EPS, **config}, "layer_norm_eps")
    return EncoderStructure(
        rotary=rotary,
        width=width,
        layers=len(layers),
        heads=heads,
        intermediate=axis_of(shapes, f"{prefix}layers.0.fc1.weight", 0),
        eps=eps,
    )


def _rotary_heads(shapes: Mapping[str, Sequence[int]], inv_freq: str, width: int) -> int:
    """Return the number of attention heads by the shape of the rotary frequencies, one for two channels of a head."""
    size = 2 * axis_of(shapes, inv_freq, 0)
    if width % size:
        raise ValueError(f"{inv_freq} has shape {tuple(shapes[inv_freq])}, but heads of {size} do not divide {width}")
    return width // size


def labels_of(lines: Sequence[str], task_type: str, outputs: int) -> tuple[str, ...]:
    """Return the class names from the lines of label.txt.

    Training counts every line as a class, except a header `label`. The number of lines shows whether there is one.
    Raises ValueError if this number does not fit the network.
    """
    if task_type == "regression":
        return ()
    expected = 2 if task_type == "binary_class" else outputs
    names = [line.strip() for line in lines if line.strip()]
    if len(names) == expected + 1:
        return tuple(names[1:])
    if len(names) == expected and names[0] != "label":
        return tuple(names)
    raise ValueError(f"{len(names)} lines, expected a header and {expected} class names, as many as the network has")


def check_outputs(structure: HeadStructure, task: Task) -> None:
    """Raise CheckpointError if the number of a network's outputs does not fit the type of its task."""
    single = task.task_type in ("binary_class", "regression")
    if single and structure.outputs != 1:
        raise CheckpointError(
            f"task {task.name} is a {task.task_type}, but its classifier has {structure.outputs} outputs, expected 1"
        )
