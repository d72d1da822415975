"""Records that hold their own SHA-256, so that a change of any of their bytes is seen wherever they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lucaflow.files.json_files import digest_of_settings

SEAL = "sha256_of_record"


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its SHA-256, which takes the place of an older one.

    >>> sealed({"encoder": {"embed_scale": 1.0}})["sha256_of_record"][:12]
    '8e0c81a44e17'
    """
    content = {key: value for key, value in record.items() if key != SEAL}
    return {**content, SEAL: digest_of_settings(content)}


def refuse_changed(record: Mapping[str, Any]) -> None:
    """Raise ValueError for a record without its SHA-256, or with another one."""
    if SEAL not in record:
        raise ValueError("it does not hold its own SHA-256, because another version of LucaFlow wrote it")
    if record != sealed(record):
        raise ValueError("its content does not have the SHA-256 that it holds")
