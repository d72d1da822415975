"""Read JSON files, and compute the SHA-256 of settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lucaflow.errors import StoreError

# Characters of a SHA-256 used in names of folders and files.
DIGEST_LENGTH = 12


def parse_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises ValueError or OSError; the caller knows what the file should hold."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path, remedy: str = "Run `snakemake verify`, which removes it, and run again.") -> Any:
    """Return the content of a JSON file that LucaFlow wrote. Raises StoreError if it is damaged."""
    try:
        return parse_json(path)
    except ValueError as error:
        raise StoreError(f"{path} is damaged: not valid JSON ({error}). {remedy}") from error


def as_json(settings: Mapping[str, Any]) -> str:
    """Return settings as JSON text with sorted keys."""
    return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of settings; the order of their keys does not matter."""
    return hashlib.sha256(as_json(settings).encode()).hexdigest()
