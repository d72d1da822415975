"""Errors whose message tells the user the fault and the remedy."""

from __future__ import annotations

import csv

# Characters of a value that a message shows. The value may be as long as the file that it is from.
LONGEST_SHOWN = 200


def shown(value: object) -> str:
    """Return a value as a message shows it: cut, and with special characters escaped."""
    text = str(value)
    cut = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:LONGEST_SHOWN])
    return cut if len(text) <= LONGEST_SHOWN else f"{cut}..."


def quoted(value: object, longest: int = LONGEST_SHOWN) -> str:
    """Return a value as a message quotes it, cut to `longest` characters.

    >>> quoted("MKVLAW", 3)
    "'MKV'..."
    """
    if isinstance(value, str):
        return repr(value) if len(value) <= longest else f"{value[:longest]!r}..."
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


# What reading a table or a JSON file of LucaFlow raises if the file is empty or damaged.
DAMAGE = (OSError, ValueError, LookupError, TypeError, csv.Error)


def damage(error: BaseException) -> str:
    """Return what is wrong with a file, of which an error of `DAMAGE` came."""
    return f"{shown(error)} is missing" if isinstance(error, KeyError) else shown(error)


class LucaFlowError(Exception):
    """Base class. The message is for the user and needs no traceback."""


class ConfigError(LucaFlowError):
    """The configuration or the table of datasets cannot be used."""


class InputError(LucaFlowError):
    """A file of sequences cannot be used."""


class VariantError(LucaFlowError):
    """A variant of a sequence cannot be scored. The message is the reason, as a table gives it."""


class CheckpointError(LucaFlowError):
    """A checkpoint is missing, incomplete or of the wrong shape."""


class DeviceError(LucaFlowError):
    """The requested device or precision is not available."""


class StoreError(LucaFlowError):
    """A result file is missing, damaged or not the expected one."""


class UnreadableError(StoreError):
    """A file cannot be read now: it is locked, or its disk is missing. Its content may be sound."""


class EmbeddingError(LucaFlowError):
    """A sequence cannot be embedded with the requested options."""


class TrainingError(LucaFlowError):
    """A downstream model cannot be trained with the requested options on these data."""


class SpaceError(LucaFlowError):
    """The disk cannot hold a result."""


class LockError(LucaFlowError):
    """Another process is doing the same work, and has not finished in time."""


class ToolError(LucaFlowError):
    """Another program is missing, or it failed."""
