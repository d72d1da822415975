"""Does the architecture that a configuration describes agree with the names and shapes of the weights?

A network is built only from numbers that the weights confirm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lucaflow.checkpoints.state_dicts import (
    first_problems,
    misfits,
    published_shapes,
    repeated,
    shapes_of,
)
from lucaflow.encoders.interface import Encoder
from lucaflow.errors import CheckpointError, quoted


def refuse_unconfirmed(
    network: type[Encoder],
    config: Any,
    shapes: Mapping[str, Sequence[int]],
    path: Path,
    remedy: str = "Fetch both again from one source",
) -> None:
    """Raise CheckpointError if a number of a configuration is not what the weights say.

    shapes: of all tensors, by name; path: the file that holds the configuration; remedy: for the message, like path.
    """
    for key, says, number in network.confirmed_numbers(config, shapes):
        if number != getattr(config, key):
            raise CheckpointError(
                f"{path} does not fit its weights: {key} is {quoted(getattr(config, key))}, but {says}. {remedy}."
            )


def converted_shapes(network: type[Encoder], config: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a network, in their order, without those of a contact head."""
    with torch.device("meta"):
        state = network(replace(config, num_hidden_layers=1)).state_dict()
    return repeated(shapes_of(state), config.num_hidden_layers)


def expected_shapes(network: type[Encoder], config: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors that a checkpoint of this architecture must hold, by LucaOne's names."""
    return published_shapes(converted_shapes(network, config))


def head_shapes(network: type[Encoder], config: Any, names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of those heads of a family that `names` begin with."""
    found: dict[str, tuple[int, ...]] = {}
    for prefix in network.heads.keys() & {name.partition(".")[0] for name in names}:
        with torch.device("meta"):
            state = network.heads[prefix](config).state_dict()
        found |= {f"{prefix}.{name}": shape for name, shape in shapes_of(state).items()}
    return found


def check(tensors: Mapping[str, Tensor], network: type[Encoder], config: Any, path: Path) -> None:
    """Raise CheckpointError if the configuration in `path` does not fit the tensors beside it.

    The message names the first number that the weights do not confirm; or else up to ten tensors that are missing,
    unknown, unusable or of a wrong shape.
    """
    refuse_unconfirmed(network, config, shapes_of(tensors), path)
    expected = expected_shapes(network, config) | head_shapes(network, config, tensors)
    problems = misfits(tensors, expected)
    if problems:
        raise CheckpointError(
            f"the weights in {path.parent} do not fit its {path.name} "
            f"({config.num_hidden_layers} layers, hidden size {config.hidden_size}, "
            f"{config.num_attention_heads} heads): {first_problems(problems)}. Fetch both again from one source."
        )
