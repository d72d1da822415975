"""Are the numbers that `logs.txt` and `config.json` state numbers, and do the weights confirm them?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lucaflow.encoders.float32 import is_positive_float32
from lucaflow.errors import quoted


def whole_number(file: str, stated: Mapping[str, Any], key: str) -> int:
    """Return a stated number. Raises ValueError that names file, key and value if it is not a positive whole number.

    LucaOneTasks writes some numbers as text.
    """
    value = stated.get(key)
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        value = int(value)
    if type(value) is not int or value < 1:
        raise ValueError(f"{file}: {key} is {quoted(value)}, expected a positive whole number")
    return value


def positive_number(file: str, stated: Mapping[str, Any], key: str) -> float:
    """Return a stated number. Raises ValueError that names file, key and value if it is not positive and finite."""
    value = stated.get(key)
    if type(value) not in (int, float) or not is_positive_float32(value):  # type: ignore[arg-type]
        raise ValueError(f"{file}: {key} is {quoted(value)}, expected a positive number that float32 holds")
    return float(value)  # type: ignore[arg-type]


def axis_of(shapes: Mapping[str, Sequence[int]], name: str, axis: int) -> int:
    """Return the length of a parameter along an axis.

    Raises KeyError if there is no such parameter, ValueError if it has no such axis or is empty along it.
    """
    shape = tuple(shapes[name])
    if len(shape) <= axis or shape[axis] < 1:
        raise ValueError(f"{name} has shape {shape}, expected {axis + 1} axes or more, none of them empty")
    return shape[axis]


def refuse_differing(config: Mapping[str, Any], found: Mapping[str, int]) -> None:
    """Raise ValueError if config.json states another number than the weights. found: of the weights, by its key.

    A number that config.json leaves out, or that is null or 0, is not compared.
    """
    for key, number in found.items():
        if config.get(key) and whole_number("config.json", config, key) != number:
            raise ValueError(
                f"config.json: {key} is {quoted(config[key])}, but by the shapes of its weights it is {number}"
            )
