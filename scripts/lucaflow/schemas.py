"""Check the configuration and tables against JSON Schemas that are written in YAML."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lucaflow.errors import shown

# What a shell would replace.
_VARIABLE = re.compile(r"\$(\w+|\{\w+\}?)", re.ASCII)

if TYPE_CHECKING:
    from jsonschema import ValidationError


@cache
def _validator() -> Any:
    """Return the class that checks values.

    JSON Schema accepts 5.0 as an integer, but Python's slices do not. YAML has `.nan` and `.inf`, which are no numbers
    here.
    """
    from jsonschema import Draft202012Validator, validators  # most jobs read no configuration

    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) is int or (type(value) is float and math.isfinite(value)),
        }
    )
    return validators.extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]


@cache
def _formats() -> Any:
    """Return the check of the format `path`: one that can be used as it is, or that begins with `~`."""
    from jsonschema import FormatChecker

    checker = FormatChecker(formats=())
    checker.checks("path", raises=ValueError)(lambda value: not isinstance(value, str) or expanded(value) is not None)
    return checker


def expanded(path: str) -> str:
    """Return a path with the home directory for a leading `~`. Raises ValueError that says what to write instead.

    >>> expanded("data/~x") == "data/~x" and expanded("~/x") == str(Path.home() / "x")
    True
    """
    if variable := _VARIABLE.search(path):
        written = os.path.expandvars(path)
        instead = "the directory it stands for" if _VARIABLE.search(written) else repr(written)
        raise ValueError(
            f"{path!r} has a variable, {variable[0]}, which is not replaced here; write {instead}, or rename the file "
            "if this is its name"
        )
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise ValueError(
            f"{path!r} begins with `~`, but there is no such home directory; write the directory, or "
            f"{'./' + path!r} for a file of this name"
        ) from error


def with_expanded_paths(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a copy in which the paths, by the schema, have the home directory for a leading `~`."""
    if isinstance(value, Mapping) and "properties" in schema:
        known = schema["properties"]
        return {key: with_expanded_paths(inner, known[key]) if key in known else inner for key, inner in value.items()}
    if isinstance(value, Mapping) and schema.get("format") == "path":
        return {key: expanded(inner) for key, inner in value.items()}
    return expanded(value) if schema.get("format") == "path" and isinstance(value, str) else value


def has_more_values(value: Any, most: int) -> bool:
    """Return whether there are more than `most` values, where one that an alias of YAML repeats counts each time.

    Few lines of aliases of aliases can stand for more values than a computer can look at.
    """
    rest = [value]
    for _ in range(most):
        if not rest:
            return False
        inner = rest.pop()
        if isinstance(inner, Mapping):
            rest.extend(islice(inner.values(), most))
        elif isinstance(inner, list | tuple):
            rest.extend(islice(inner, most))
    return bool(rest)


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def unknown_keys(
    value: Any, schema: Mapping[str, Any], place: str = "", instead: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Yield a line for each key that is not in the schema, with the most similar key of the schema.

    instead: what to write instead of a key that other programs have, by key.
    """
    if not isinstance(value, Mapping) or "properties" not in schema:
        return
    known = schema["properties"]
    for key, inner in value.items():
        if key in known:
            yield from unknown_keys(inner, known[key], f"{place}{key}.", instead)
            continue
        if instead and key in instead:
            hint = instead[key]
        elif meant := nearest(shown(key), known):
            hint = f"did you mean {place}{meant}?"
        else:
            hint = f"known here: {', '.join(known)}"
        yield f"{place}{shown(key)}: there is no such key; {hint}"


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
    for error in _validator()(schema, format_checker=_formats()).iter_errors(value):
        if error.validator == "additionalProperties":
            continue
        place = ".".join(str(part) for part in error.absolute_path) or "the file"
        # A user understands a description better than a pattern.
        meaning = error.schema.get("description", "") if error.validator == "pattern" else ""
        if _wants_number(error) and isinstance(error.instance, str) and _is_number(error.instance):
            meaning = "YAML reads it as text: write a plain number without quotes, such as 1000000 for 1e6"
        yield f"{place}: {_message(error)}" + (f". {meaning}" if meaning else "")


def _message(error: ValidationError) -> str:
    """Return the message of a violation, with the value cut to the length that a message shows."""
    if error.validator == "format":
        return str(error.cause)
    value = repr(error.instance)
    return error.message.replace(value, shown(value))


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
