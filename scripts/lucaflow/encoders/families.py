"""The table of the families of encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lucaflow.encoders.dnabert2 import Dnabert2
from lucaflow.encoders.esm2 import Esm2
from lucaflow.encoders.interface import Encoder
from lucaflow.encoders.lucaone import LucaOne

# By the names in the table of models and in records of converted checkpoints.
FAMILIES: dict[str, type[Encoder]] = {network.family: network for network in (LucaOne, Esm2, Dnabert2)}


def published_family(stated: Mapping[str, Any], layout: str) -> type[Encoder]:
    """Return the family of a published checkpoint. stated: content of its config.json; layout: as `config_of` has it.

    What no other family claims is taken for a LucaOne, which says what does not fit.
    """
    kind = stated.get("model_type") if layout == "huggingface" else None
    return next((family for family in FAMILIES.values() if kind in family.model_types), LucaOne)


def recorded_family(family: Any) -> type[Encoder]:
    """Return the family that a record of a converted checkpoint names. Raises ValueError for one that is none."""
    if family not in tuple(FAMILIES):
        raise ValueError(f"its family is {family!r}, expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family]
