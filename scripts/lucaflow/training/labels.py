"""What does the label of a row say?

In a table of one's own, classes are named, and nothing is evaluated. In LucaOneTasks' tables, classes are numbers, and
a label is a literal of Python.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from lucaflow.errors import quoted
from lucaflow.training.options import TOKEN_LEVEL, TrainingOptions

# LucaOneTasks' label of what has none.
_IGNORED = -100
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
# Marks a residue without a label, where the cell is no JSON list.
_NO_LETTER = "-"


def class_names(labels: Iterable[str], options: TrainingOptions) -> tuple[str, ...]:
    """Return the distinct classes that labels name, in their order. Raises ValueError for labels that name none."""
    found: set[str] = set()
    for text in labels:
        parts = residue_labels(text, options) if options.is_token_level else [text]
        for part in parts:
            found |= set(_names(part, options))
    return in_order(found)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of classes by the alphabet; whole numbers by their value.

    >>> in_order({"10", "9", "0"}), in_order({"b10", "b9", "7"})
    (('0', '9', '10'), ('7', 'b10', 'b9'))
    """
    distinct = set(names)
    are_numbers = all(_WHOLE.fullmatch(name) for name in distinct)
    return tuple(sorted(distinct, key=lambda name: (int(name) if are_numbers else 0, name)))


def target_of(text: str, options: TrainingOptions, classes: Sequence[str], residues: int | None = None) -> np.ndarray:
    """Return what is to be predicted: the number of a class, a number, or 0 and 1 for each class.

    It is () or (C,) for a whole sequence, (n,) or (n, C) for its n residues; NaN where there is no label. classes: the
    names, in the order of the outputs; residues: of the sequence, if each has a label. Raises ValueError.
    """
    if options.is_exact:
        return _lucaonetasks_target(text, options, len(classes))
    if not options.is_token_level:
        return _target(text, options, classes)
    parts = residue_labels(text, options)
    if residues is not None and len(parts) not in (0, residues):
        raise ValueError(f"it has {len(parts)} labels, expected one for each of the {residues} residues")
    if not parts:
        shape = (residues or 0, len(classes)) if options.task_type == "multi_label" else (residues or 0,)
        return np.full(shape, np.nan, dtype=np.float32)
    return np.stack([_target(part, options, classes) for part in parts])


def _target(text: str, options: TrainingOptions, classes: Sequence[str]) -> np.ndarray:
    if options.task_type == "regression":
        return np.array(_number(text), dtype=np.float32)
    stated = _names(text, options)
    unknown = [name for name in stated if name not in classes]
    if unknown:
        raise ValueError(f"{quoted(unknown[0])} is none of the classes: {', '.join(classes)}")
    if options.task_type == "multi_label":
        value = np.nan if not text.strip() else 0.0
        row = np.full(len(classes), value, dtype=np.float32)
        row[[classes.index(name) for name in stated]] = 1
        return row
    return np.array(classes.index(stated[0]) if stated else np.nan, dtype=np.float32)


def _number(text: str) -> float:
    """Return the value of a regression; NaN if there is none."""
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is not a finite number")
    return value


def _names(text: str, options: TrainingOptions) -> list[str]:
    """Return the classes that a label names. Only a label of multi_label is divided: at semicolons, or as JSON."""
    text = text.strip()
    if options.task_type != "multi_label":
        return [text] if text else []
    parts = _json_list(text) if text.startswith("[") else text.split(";")
    return [str(part).strip() for part in parts if str(part).strip()]


def residue_labels(text: str, options: TrainingOptions) -> list[str]:
    """Return the label of each residue, as text, empty for a residue without one.

    They are a JSON list, or divided by commas or spaces, or a letter each. Several labels of a residue are a list in
    the list, or divided by semicolons. `-` and `null` are no labels, nor is LucaOneTasks' -100 a class. Raises
    ValueError.
    """
    text = text.strip()
    if options.is_exact:
        return [_as_text(part) for part in _literal_of_residues(text)]
    if text.startswith("["):
        return [_as_text(part, options.task_type != "regression") for part in _json_list(text)]
    if "," in text or re.search(r"\s", text):
        parts = text.split(",") if "," in text else text.split()
        return [_stated(part.strip(), options) for part in parts]
    if options.task_type in ("regression", "multi_label"):
        return [_stated(text, options)] if text else []
    return ["" if letter == _NO_LETTER else letter for letter in text]


def compared_labels(text: str, options: TrainingOptions) -> tuple[Any, ...]:
    """Return the labels of the residues of a sequence so that equal ones are equal: as sets of classes, or as numbers.

    Other text stays as it is; it is refused where targets are read. Raises ValueError for a list that is none.
    """
    parts = residue_labels(text, options)
    if options.is_exact:
        return tuple(parts)
    if options.task_type == "regression":
        return tuple(_as_number(part) for part in parts)
    return tuple(frozenset(_names(part, options)) if part else None for part in parts)


def _as_number(part: str) -> float | str:
    try:
        return float(part)
    except ValueError:
        return part


def _stated(part: str, options: TrainingOptions) -> str:
    """Return the label of a residue; nothing for what says that there is none."""
    none = [_NO_LETTER, "null", *([str(_IGNORED)] if options.task_type != "regression" else [])]
    return "" if part in none else part


def _as_text(part: Any, is_class: bool = True) -> str:
    if part is None or (is_class and type(part) is int and part == _IGNORED):
        return ""
    return json.dumps(part) if isinstance(part, list) else str(part)


def _json_list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{quoted(text)} is not a JSON list, such as ["a", "b"] ({error})') from error
    return list(found)


def reader_of_residues(
    task_type: str, classes: Sequence[str], names: Sequence[str]
) -> Callable[[str], np.ndarray | None]:
    """Return the function that reads the labels (k,) or (k, C) of residues, None for a text without any.

    classes: of a trained model; names: of the classes of a folder of LucaOneTasks, of which the labels are.
    """
    options = TrainingOptions(task_type, TOKEN_LEVEL)

    def read(text: str) -> np.ndarray | None:
        try:
            found = target_of(with_names(text, options, names), options, classes)
        except ValueError:
            return None
        return None if np.isnan(found).all() else found

    return read


def with_names(text: str, options: TrainingOptions, names: Sequence[str]) -> str:
    """Return a label of residues in a folder of LucaOneTasks with names in place of digits, one for each residue.

    names: of the classes; none: the labels are not of such a folder. A digit that is no class stays.
    """
    if not (names and options.is_token_level and text.strip().isdecimal()):
        return text
    numbers = map(int, text.strip())
    return json.dumps([names[each] if each < len(names) else str(each) for each in numbers], ensure_ascii=False)


def classes_in(text: str, options: TrainingOptions) -> frozenset[str]:
    """Return the classes that a label names. In LucaOneTasks' tables they are numbers. Raises ValueError."""
    if options.task_type == "regression":
        return frozenset()
    if not options.is_exact:
        return frozenset(class_names([text], options))
    parts = residue_labels(text, options) if options.is_token_level else [text]
    numbers = [number for part in parts for number in re.findall(r"-?\d+", part)]
    if not numbers and not options.is_token_level and text.strip() != "[]":
        raise ValueError(f"{quoted(text)} is not the number of a class, as LucaOneTasks writes labels")
    return frozenset(str(int(number)) for number in numbers)


def _literal_of_residues(text: str) -> list[Any]:
    """Return the labels of residues in LucaOneTasks' tables: a digit each, or a list."""
    value = [int(digit) for digit in text] if text.isdecimal() else _literal(text)
    if not isinstance(value, list):
        raise ValueError(f"{quoted(text)} is not a list with the label of each residue, as LucaOneTasks writes them")
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{quoted(text)} is not a label of LucaOneTasks: the number of a class, a number, or a list of them"
        ) from error


def _lucaonetasks_target(text: str, options: TrainingOptions, classes: int) -> np.ndarray:
    """Return the target that LucaOneTasks reads. -100 means that there is no label."""
    value = _literal_of_residues(text.strip()) if options.is_token_level else _literal(text)
    try:
        if options.task_type != "multi_label":
            target = np.array(value, dtype=np.float32)
            return np.where(target == _IGNORED, np.float32(np.nan), target)
        sets = value if options.is_token_level else [value]
        target = np.zeros((len(sets), classes), dtype=np.float32)
        for row, numbers in zip(target, sets, strict=True):
            row[list(numbers)] = 1
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{quoted(text)} is not a label of {options.task_type}: {error}") from error
    return target if options.is_token_level else target[0]
