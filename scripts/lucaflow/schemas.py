"""Check the configuration and tables against JSON Schemas that are written in YAML."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from jsonschema import ValidationError


@cache
def _validator() -> Any:
    """Return the class that checks values. JSON Schema accepts 5.0 as an integer; Python's slices do not."""
    from jsonschema import Draft202012Validator, validators  # most jobs read no configuration

    return validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
    )


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def unknown_keys(value: Any, schema: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Yield a line for each key that is not in the schema, with the most similar key of the schema."""
    if not isinstance(value, Mapping) or "properties" not in schema:
        return
    known = schema["properties"]
    for key, inner in value.items():
        if key not in known:
            meant = nearest(str(key), known)
            hint = f"did you mean {place}{meant}?" if meant else f"known here: {', '.join(known)}"
            yield f"{place}{key}: there is no such key; {hint}"
        else:
            yield from unknown_keys(inner, known[key], f"{place}{key}.")


def with_defaults(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a copy with the schema's defaults for missing keys. An empty section gets all its defaults."""
    if not isinstance(value, Mapping) or "properties" not in schema:
        return deepcopy(value)
    filled = {key: deepcopy(inner) for key, inner in value.items() if key not in schema["properties"]}
    for key, inner in schema["properties"].items():
        if key in value or "default" in inner:
            stated = value.get(key, inner.get("default"))
            filled[key] = with_defaults({} if stated is None and "properties" in inner else stated, inner)
    return filled


def violations(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each wrong value: its key and the expected value. `unknown_keys` reports unknown keys."""
    for error in _validator()(schema).iter_errors(value):
        if error.validator == "additionalProperties":
            continue
        place = ".".join(str(part) for part in error.absolute_path) or "the file"
        # A user understands a description better than a pattern.
        meaning = error.schema.get("description", "") if error.validator == "pattern" else ""
        if _wants_number(error) and isinstance(error.instance, str) and _is_number(error.instance):
            meaning = "YAML reads it as text: write a plain number without quotes, such as 1000000 for 1e6"
        yield f"{place}: {error.message}" + (f". {meaning}" if meaning else "")


def _wants_number(error: ValidationError) -> bool:
    """Return whether the schema allows a number here, possibly beside other types."""
    types: Any = error.validator_value if error.validator == "type" else []
    return bool({"integer", "number"} & {*([types] if isinstance(types, str) else types)}) or any(
        _wants_number(inner) for inner in error.context
    )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
