"""Errors whose message tells the user what is wrong and what to do about it."""

from __future__ import annotations


def shown(value: object, longest: int = 60) -> str:
    """Return a value for a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}..."


class LucaFlowError(Exception):
    """Base class. The message is for the user and needs no traceback."""


class ConfigError(LucaFlowError):
    """The configuration or the table of datasets cannot be used."""


class InputError(LucaFlowError):
    """A file of sequences cannot be used."""


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


class SpaceError(LucaFlowError):
    """The disk cannot hold a result."""


class LockError(LucaFlowError):
    """Another process is doing the same work, and has not finished in time."""
