"""The versions of LucaOne: their names, training steps and sequence types."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STEPS = {"lucaone": 36000000, "lucaone-gene": 36800000, "lucaone-prot": 30000000, "mini": 1}
SEQ_TYPE_OF_VERSION = {"lucaone-gene": "gene", "lucaone-prot": "prot"}


@dataclass(frozen=True)
class Model:
    """A version of LucaOne and its number of training steps."""

    llm_version: str
    llm_step: int

    @property
    def name(self) -> str:
        return f"{self.llm_version}-{self.llm_step}"
