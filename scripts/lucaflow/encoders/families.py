"""The families of encoders, by the names in the table of models and in records of converted checkpoints."""

from __future__ import annotations

from lucaflow.encoders.esm2 import Esm2
from lucaflow.encoders.lucaone import LucaOne

FAMILIES: dict[str, type[LucaOne]] = {network.family: network for network in (LucaOne, Esm2)}
