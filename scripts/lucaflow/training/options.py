"""With which options is a downstream model trained? They have LucaOneTasks' names.

A default is the value that the ten published trainings share. Where they differ, it is that of LucaOneTasks' run.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from lucaflow.downstream.structure import ACTIVATIONS, EACH_ROW, POOLINGS, EncoderStructure, HeadStructure
from lucaflow.engine.options import VECTORS
from lucaflow.errors import ConfigError, quoted
from lucaflow.schemas import nearest

CORRECTED, LUCAONETASKS = "corrected", "lucaonetasks"
SEQ_LEVEL, TOKEN_LEVEL = "seq_level", "token_level"
# Epsilon of the layer norms of LucaOne's encoder, and of BERT's.
_ROTARY_EPS, _BERT_EPS = 1e-5, 1e-12
_SQUASHING = {"binary_class": "sigmoid", "multi_label": "sigmoid", "multi_class": "softmax", "regression": "identity"}
LOSSES: Final[dict[str, tuple[str, ...]]] = {
    "binary_class": ("bce", "focal_loss"),
    "multi_label": ("bce", "focal_loss"),
    "multi_class": ("cce", "focal_loss"),
    "regression": ("l2", "l1"),
}
# Names by which another precision may be asked for: that of `embedding`, and those of LucaOneTasks.
_OF_PRECISION = ("precision", "fp16", "fp16_opt_level", "bf16")
# By which metrics an epoch may be chosen.
CHOOSING: Final[dict[str, tuple[str, ...]]] = {
    "binary_class": ("f1", "acc", "prec", "recall", "roc_auc", "pr_auc", "mcc", "mcc2", "sn", "sp", "loss"),
    "multi_class": ("f1", "acc", "prec", "recall", "roc_auc", "pr_auc", "mcc", "sn", "sp", "top2_acc", "top3_acc",
                    "top4_acc", "top5_acc", "top10_acc", "loss"),
    "multi_label": ("f1", "acc", "jaccard", "prec", "recall", "roc_auc", "pr_auc", "fmax", "pmax", "rmax", "loss"),
    "regression": ("sp_statistic", "ps_statistic", "r2", "mse", "mae", "loss"),
}  # fmt: skip


@dataclass(frozen=True)
class TrainingOptions:
    """The options of a training. Raises ConfigError that lists all wrong ones.

    input_type: what the network reads of a sequence: its `matrix`, or its `vector`, of which `vector` says the kind;
    compatibility: `corrected`, or `lucaonetasks` for LucaOneTasks' computation with its defects; matrix_encoder:
    whether there is a transformer before the pooling; the four options after it are of that transformer;
    matrix_fc_size: widths of the fully connected layers after the pooling; matrix_max_length: the rows of a sequence
    that are read, those of [CLS] and [SEP] included; loss_type, best_metric_type: if empty, the first one that the
    type of the task has; weight: of each class in the loss of multi_class; num_train_epochs, early_stop_epoch: the
    most epochs, and that many epochs from the best one on end the training (not above 1: never); max_steps,
    warmup_steps: numbers of updates (not above 0: none).
    """

    task_type: str
    task_level_type: str = SEQ_LEVEL
    compatibility: str = CORRECTED
    model_type: str = "luca_base"
    input_type: str = "matrix"
    vector: str = "mean"
    matrix_pooling_type: str = "none"
    matrix_encoder: bool = False
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_attention_heads: int = 8
    num_hidden_layers: int = 4
    matrix_fc_size: tuple[int, ...] = ()
    classifier_size: int = 128
    fc_activate_func: str = "gelu"
    classifier_activate_func: str = "gelu"
    dropout_prob: float = 0.1
    matrix_max_length: int = 2048
    matrix_add_special_token: bool = False
    not_prepend_bos: bool = False
    not_append_eos: bool = False
    loss_type: str = ""
    loss_reduction: str = "mean"
    pos_weight: float = 1.0
    weight: tuple[float, ...] = ()
    focal_loss_alpha: float = 0.7
    focal_loss_gamma: float = 2.0
    per_gpu_train_batch_size: int = 16
    per_gpu_eval_batch_size: int = 16
    gradient_accumulation_steps: int = 1
    buffer_size: int = 4096
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.98
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    lr_update_strategy: str = "step"
    lr_decay_rate: float = 0.9
    warmup_steps: int = -1
    max_steps: int = -1
    num_train_epochs: int = 50
    early_stop_epoch: int = -1
    best_metric_type: str = ""
    seed: int = 1221

    def __post_init__(self) -> None:
        problems = [*_wrong_types(self), *_unknown_values(self)]
        if not problems:
            problems = [*_out_of_range(self), *_misfits(self)]
        if problems:
            raise ConfigError("training options that cannot be used:\n  " + "\n  ".join(problems))

    @property
    def is_exact(self) -> bool:
        """Whether LucaOneTasks' computation is asked for, with its defects."""
        return self.compatibility == LUCAONETASKS

    def settings(self) -> dict[str, Any]:
        """Return the options that a training depends on: the kind of vector only where one is read."""
        return {name: value for name, value in asdict(self).items() if name != "vector" or self.reads_vectors}

    @property
    def reads_vectors(self) -> bool:
        return self.input_type == "vector"

    @property
    def is_token_level(self) -> bool:
        return self.task_level_type == TOKEN_LEVEL

    @property
    def sides(self) -> int:
        """The number of sequences of a row."""
        return 1 if self.model_type == "luca_base" else 2

    @property
    def loss(self) -> str:
        return self.loss_type or LOSSES[self.task_type][0]

    @property
    def best_metric(self) -> str:
        return self.best_metric_type or CHOOSING[self.task_type][0]

    @property
    def reduction(self) -> str:
        """How the losses of elements become one. For whole sequences LucaOneTasks means `mean` by all three names."""
        whole = not self.is_token_level and self.task_type != "multi_label"
        return "mean" if whole else self.loss_reduction

    @property
    def frame(self) -> bool:
        """Whether a row of zeros is added before and after the rows of a sequence."""
        return self.input_type == "matrix" and not self.matrix_add_special_token and not self.not_prepend_bos

    @property
    def longest(self) -> int:
        """The largest number of residue rows that are read."""
        return self.matrix_max_length - 2 * (self.frame or self.matrix_add_special_token)


def options_of(stated: Mapping[str, Any]) -> TrainingOptions:
    """Return options from a configuration. Lists may be text such as `2,5,1`. Raises ConfigError."""
    known = {field.name for field in fields(TrainingOptions)}
    problems = []
    for name in (name for name in stated if name not in known):
        problems.append(f"{name}: {_why_unknown(name, known)}")
    if "task_type" not in stated:
        problems.append(f"task_type is missing, expected one of {', '.join(LOSSES)}")
    if problems:
        raise ConfigError("training options that cannot be used:\n  " + "\n  ".join(problems))
    found = dict(stated)
    for name, kind in (("matrix_fc_size", int), ("weight", float)):
        if name in found:
            found[name] = _numbers(name, found[name], kind)
    return TrainingOptions(**found)


def _why_unknown(name: str, known: Collection[str]) -> str:
    if name in _OF_PRECISION:
        return "trainings compute in float32 alone, also on the embeddings of a model in bfloat16; leave it out"
    meant = nearest(name, sorted(known))
    return f"there is no such option{f'; did you mean {meant}?' if meant else ''}"


def _numbers(name: str, stated: Any, kind: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return a list of numbers that is stated as a list, a single number, or text with commas; `null` is none."""
    if stated is None or stated in ("", "null"):
        return ()
    parts = stated.split(",") if isinstance(stated, str) else stated if isinstance(stated, list | tuple) else [stated]
    try:
        return tuple(kind(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"training options that cannot be used:\n  {name} is {quoted(stated)}, expected numbers separated by commas"
        ) from error


def _said(options: TrainingOptions, name: str, expected: str) -> str:
    return f"{name} is {quoted(getattr(options, name))}, expected {expected}"


def _wrong_types(options: TrainingOptions) -> list[str]:
    """Return the problems with values of another type than the option's."""
    problems = []
    for field in fields(options):
        value, kind = getattr(options, field.name), type(field.default)
        if field.name == "task_type":
            kind = str
        if kind is tuple:
            numbers = (int,) if field.name == "matrix_fc_size" else (int, float)
            right = type(value) is tuple and all(type(number) in numbers for number in value)
            expected = "a list of numbers"
        else:
            right = type(value) is kind or (kind is float and type(value) is int)
            expected = {str: "a name", bool: "true or false", int: "a whole number", float: "a number"}[kind]
        if not right:
            problems.append(_said(options, field.name, expected))
    return problems


def _unknown_values(options: TrainingOptions) -> list[str]:
    """Return the problems with names that are none of the known ones."""
    task_type = options.task_type if isinstance(options.task_type, str) else ""
    known: dict[str, tuple[str, ...]] = {
        "task_type": tuple(LOSSES),
        "task_level_type": (SEQ_LEVEL, TOKEN_LEVEL),
        "compatibility": (CORRECTED, LUCAONETASKS),
        "model_type": ("luca_base", "lucappi", "lucappi2"),
        "input_type": ("matrix", "vector"),
        "vector": VECTORS,
        "matrix_pooling_type": POOLINGS,
        "fc_activate_func": ACTIVATIONS,
        "classifier_activate_func": ACTIVATIONS,
        "loss_reduction": ("mean", "meanmean", "meansum"),
        "lr_update_strategy": ("step", "epoch"),
    }
    if task_type in LOSSES:
        known["loss_type"] = ("", *LOSSES[task_type])
        known["best_metric_type"] = ("", *CHOOSING[task_type])
    problems = []
    for name, names in known.items():
        value = getattr(options, name)
        if isinstance(value, str) and value not in names:
            of_task = f" for {task_type}" if name in ("loss_type", "best_metric_type") else ""
            problems.append(_said(options, name, f"one of {', '.join(filter(None, names))}{of_task}"))
    return problems


def _out_of_range(options: TrainingOptions) -> list[str]:
    """Return the problems with numbers that are too small or too large."""
    least = {
        **dict.fromkeys(("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers"), 1),
        **dict.fromkeys(("classifier_size", "per_gpu_train_batch_size", "per_gpu_eval_batch_size"), 1),
        **dict.fromkeys(("gradient_accumulation_steps", "buffer_size", "num_train_epochs"), 1),
        "matrix_max_length": 3,
        "seed": 0,
    }
    problems = [_said(options, name, f"{low} or more") for name, low in least.items() if getattr(options, name) < low]
    positive = ("learning_rate", "pos_weight", "adam_epsilon", "max_grad_norm", "lr_decay_rate")
    for name in positive:
        if not (math.isfinite(getattr(options, name)) and getattr(options, name) > 0):
            problems.append(_said(options, name, "a number above 0"))
    for name in ("weight_decay", "focal_loss_gamma"):
        if not (math.isfinite(getattr(options, name)) and getattr(options, name) >= 0):
            problems.append(_said(options, name, "0 or a number above it"))
    for name in ("dropout_prob", "beta1", "beta2"):
        if not 0 <= getattr(options, name) < 1:
            problems.append(_said(options, name, "a number from 0 to below 1"))
    if not 0 <= options.focal_loss_alpha <= 1:
        problems.append(_said(options, "focal_loss_alpha", "a number from 0 to 1"))
    if not all(math.isfinite(weight) and weight > 0 for weight in options.weight):
        problems.append(_said(options, "weight", "numbers above 0"))
    if not all(width >= 1 for width in options.matrix_fc_size):
        problems.append(_said(options, "matrix_fc_size", "widths of 1 or more"))
    return problems


def _misfits(options: TrainingOptions) -> list[str]:
    """Return the problems with options that do not fit each other."""
    problems = []
    if options.not_prepend_bos != options.not_append_eos:
        problems.append(
            _said(options, "not_prepend_bos", f"{options.not_append_eos}, the value of not_append_eos: both or neither")
        )
    if options.is_token_level and options.sides == 2:
        problems.append(_said(options, "model_type", "luca_base for token_level: a pair has no labels of residues"))
    if options.is_token_level and options.reads_vectors:
        problems.append(_said(options, "input_type", "matrix for token_level: residues need rows of their own"))
    if options.matrix_encoder and options.reads_vectors:
        problems.append(_said(options, "matrix_encoder", "false for input_type vector"))
    if options.matrix_add_special_token and options.reads_vectors:
        problems.append(_said(options, "matrix_add_special_token", "false for input_type vector"))
    if options.matrix_pooling_type != "none" and options.reads_vectors:
        problems.append(_said(options, "matrix_pooling_type", "none for input_type vector, whose kind is `vector`"))
    if options.weight and options.task_type != "multi_class":
        problems.append(_said(options, "weight", "none: only the loss of multi_class has weights of classes"))
    single = options.is_token_level and options.task_type != "multi_label"
    if options.loss_reduction == "meansum" and single and not options.is_exact:
        problems.append(_said(options, "loss_reduction", "mean or meanmean for token_level"))
    problems += _encoder_misfits(options) if options.matrix_encoder else []
    problems += _exact_misfits(options) if options.is_exact else []
    return problems


def _encoder_misfits(options: TrainingOptions) -> list[str]:
    parts = options.num_attention_heads * (2 if options.model_type == "luca_base" else 1)
    if options.hidden_size % parts == 0:
        return []
    even = " of even width" if options.model_type == "luca_base" else ""
    return [_said(options, "num_attention_heads", f"a number that divides hidden_size, {options.hidden_size}{even}")]


def _exact_misfits(options: TrainingOptions) -> list[str]:
    """Return the problems with options with which LucaOneTasks ends in an error."""
    problems = []
    for name in ("per_gpu_train_batch_size", "per_gpu_eval_batch_size"):
        if options.buffer_size % getattr(options, name):
            problems.append(
                _said(options, "buffer_size", f"a multiple of {name}, {getattr(options, name)}, for lucaonetasks")
            )
    if options.best_metric == "loss":
        problems.append(_said(options, "best_metric_type", "another metric: LucaOneTasks finds none of this name"))
    if options.loss == "focal_loss" and options.task_type == "multi_class":
        problems.append(_said(options, "loss_type", "cce: LucaOneTasks has no focal_loss for multi_class"))
    return problems


def structure_of(options: TrainingOptions, inputs: tuple[int, ...], classes: int) -> HeadStructure:
    """Return the structure of the network that is trained.

    inputs: width E of the embedding for each sequence of a row; classes: number of classes. Raises ConfigError.
    """
    if len(inputs) != options.sides:
        raise ConfigError(f"model_type {options.model_type} reads {options.sides} sequences, not {len(inputs)}")
    if options.model_type == "lucappi" and inputs[0] != inputs[1]:
        raise ConfigError(
            f"model_type lucappi reads both sequences with one network, but their embeddings have {inputs[0]} and "
            f"{inputs[1]} channels. Use lucappi2."
        )
    if options.weight and len(options.weight) != classes:
        raise ConfigError(f"weight has {len(options.weight)} numbers, expected one for each of the {classes} classes")
    rotary = options.model_type == "luca_base"
    encoder = EncoderStructure(
        rotary=rotary,
        width=options.hidden_size,
        layers=options.num_hidden_layers,
        heads=options.num_attention_heads,
        intermediate=options.intermediate_size,
        eps=_ROTARY_EPS if rotary else _BERT_EPS,
    )
    return HeadStructure(
        inputs=inputs if options.model_type == "lucappi2" else inputs[:1],
        sides=options.sides,
        encoder=encoder if options.matrix_encoder else None,
        pooling=_pooling_of(options),
        connected=options.matrix_fc_size,
        connected_activation=options.fc_activate_func,
        hidden=options.classifier_size,
        hidden_activation=options.classifier_activate_func,
        outputs=1 if options.task_type in ("binary_class", "regression") else classes,
        squashing=_SQUASHING[options.task_type],
    )


def _pooling_of(options: TrainingOptions) -> str:
    if options.is_token_level:
        return EACH_ROW
    # A vector is a single row.
    return "none" if options.reads_vectors else options.matrix_pooling_type
