"""Does the architecture that a configuration describes agree with the names and shapes of the weights?

A network is built only from numbers that the weights confirm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lucaflow.checkpoints.state_dicts import (
    CONTACT_HEAD,
    first_problems,
    misfits,
    published_shapes,
    repeated,
    shapes_of,
)
from lucaflow.encoders.contacts import ContactHead
from lucaflow.encoders.lucaone import EncoderConfig, LucaOne
from lucaflow.errors import CheckpointError, quoted

# The frequencies of the rotary positions, by the names in published and in converted checkpoints.
_FREQUENCIES = ("layers.0.self_attn.rot_emb.inv_freq", "layers.0.self_attn.inv_freq")


def refuse_unconfirmed(
    config: EncoderConfig,
    shapes: Mapping[str, Sequence[int]],
    path: Path,
    remedy: str = "Fetch both again from one source",
) -> None:
    """Raise CheckpointError if a number of a configuration is not what the weights say.

    shapes: of all tensors, by name; path: the file that holds the configuration; remedy: for the message, like path.
    """
    for key, says, number in _numbers_of_weights(config, shapes):
        if number != getattr(config, key):
            raise CheckpointError(
                f"{path} does not fit its weights: {key} is {quoted(getattr(config, key))}, but {says}. {remedy}."
            )


def _numbers_of_weights(config: EncoderConfig, shapes: Mapping[str, Sequence[int]]) -> Iterator[tuple[str, str, int]]:
    """Yield each number that the weights confirm: its key, what the weights say for a message, and the number.

    The number is -1 if the tensor that should confirm it is missing, or has not two axes as a table has.
    """
    layers = len({name.split(".")[1] for name in shapes if name.startswith("layers.")})
    yield "num_hidden_layers", f"the weights hold {layers} layers", layers
    tables = [("hidden_size", "embed_tokens.weight", 1)]
    tables += [] if config.no_position_embeddings else [("max_position_embeddings", "embed_pos.weight", 0)]
    tables += [] if config.no_token_type_embeddings else [("type_vocab_size", "embed_type.weight", 0)]
    for key, name, axis in tables:
        shape = tuple(shapes.get(name, ()))
        yield key, _said(name, shapes), shape[axis] if len(shape) == 2 else -1
    name = next((name for name in _FREQUENCIES if name in shapes), _FREQUENCIES[0])
    width = 2 * shapes[name][0] if len(shapes.get(name, ())) == 1 else 0
    heads = config.hidden_size // width if width and config.hidden_size % width == 0 else -1
    yield "num_attention_heads", f"{_said(name, shapes)}{f', as for {heads} heads' if heads > 0 else ''}", heads


def _said(name: str, shapes: Mapping[str, Sequence[int]]) -> str:
    return f"{name} has shape {tuple(shapes[name])}" if name in shapes else f"{name} is missing"


def converted_shapes(network: type[LucaOne], config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of a network, in their order, without those of a contact head."""
    with torch.device("meta"):
        state = network(replace(config, num_hidden_layers=1)).state_dict()
    return repeated(shapes_of(state), config.num_hidden_layers)


def expected_shapes(network: type[LucaOne], config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors that a checkpoint of this architecture must hold, by LucaOne's names."""
    return published_shapes(converted_shapes(network, config))


def contact_head_shapes(config: EncoderConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the contact head's tensors, which are optional in a checkpoint."""
    with torch.device("meta"):
        return {CONTACT_HEAD + name: shape for name, shape in shapes_of(ContactHead(config).state_dict()).items()}


def check(tensors: Mapping[str, Tensor], network: type[LucaOne], config: EncoderConfig, path: Path) -> None:
    """Raise CheckpointError if the configuration in `path` does not fit the tensors beside it.

    The message names the first number that the weights do not confirm; or else up to ten tensors that are missing,
    unknown, unusable or of a wrong shape.
    """
    refuse_unconfirmed(config, shapes_of(tensors), path)
    expected = expected_shapes(network, config)
    if any(name.startswith(CONTACT_HEAD) for name in tensors):
        expected |= contact_head_shapes(config)
    problems = misfits(tensors, expected)
    if problems:
        raise CheckpointError(
            f"the weights in {path.parent} do not fit its {path.name} "
            f"({config.num_hidden_layers} layers, hidden size {config.hidden_size}, "
            f"{config.num_attention_heads} heads): {first_problems(problems)}. Fetch both again from one source."
        )
