"""What LucaFlow raises when it can say what is wrong and what to do about it."""

from __future__ import annotations


class LucaFlowError(Exception):
    """Base class: the message is meant for the user and needs no traceback."""


class ConfigError(LucaFlowError):
    """The configuration or the table of datasets is not usable."""


class InputError(LucaFlowError):
    """A file of sequences is not usable."""


class CheckpointError(LucaFlowError):
    """A checkpoint is missing, incomplete or of the wrong shape."""


class DeviceError(LucaFlowError):
    """The device or precision that was asked for is not to be had."""


class StoreError(LucaFlowError):
    """A result file is missing, damaged or not what it should be."""


class UnreadableError(StoreError):
    """A file cannot be read now, which says nothing about what it holds: it is locked, or its disk is not there."""


class EmbeddingError(LucaFlowError):
    """A sequence cannot be embedded as asked."""


class SpaceError(LucaFlowError):
    """The disk cannot hold a result."""


class LockError(LucaFlowError):
    """Another process works at the same, and does not end."""
