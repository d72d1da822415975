"""JSON files, and the digest of what one says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Of a digest, in names of folders and files of settings.
DIGEST_LENGTH = 12


def digest_of_settings(settings: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of settings; the order of their keys does not matter."""
    return hashlib.sha256(as_json(settings).encode()).hexdigest()


def as_json(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
