"""Which nearest neighbours does the user request, and in how many jobs are they searched?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

MOST_BY_DEFAULT = 20_000
K_BY_DEFAULT = 10
# Distinct sequences, of the dataset and of the one in which neighbours are searched, that the job searches which draws.
MOST_WITH_FIGURES = 20_000
# Pairs of vectors that one job compares by default: on two cores within ten minutes at a width of 2,560.
_PAIRS_ON_PROCESSOR, _PAIRS_ON_GPU = 2 * 10**10, 10**12


@dataclass(frozen=True)
class NeighbourOptions:
    """The options of `neighbours` in the configuration, with the same names and defaults."""

    k: int | Literal["auto"] = "auto"
    vector: str = "mean"
    most_pairs: int | Literal["auto"] = "auto"
    search: Literal["exact", "approximate"] = "exact"

    @classmethod
    def from_config(cls, neighbours: Mapping[str, Any]) -> NeighbourOptions:
        """Return the options of a resolved configuration."""
        return cls(neighbours["k"], neighbours["vector"], neighbours["most_pairs"], neighbours["search"])

    def settings(self) -> dict[str, Any]:
        """Return the options on which neighbours depend."""
        found = {"k": self.k, "vector": self.vector}
        return found if self.search == "exact" else {**found, "search": self.search}

    def number(self, distinct: int) -> int:
        """Return how many neighbours of each sequence are listed. distinct: the sequences of the dataset.

        >>> NeighbourOptions().number(20_000), NeighbourOptions().number(20_001), NeighbourOptions(k=5).number(10**6)
        (10, 0, 5)
        """
        if self.k != "auto":
            return self.k
        return K_BY_DEFAULT if distinct <= MOST_BY_DEFAULT else 0

    def has_job(self, distinct: int, searched: int) -> bool:
        """Return whether the neighbours are searched by a job of its own, and not by the one that draws.

        searched: distinct sequences of the dataset in which neighbours are searched.
        """
        if not self.number(distinct):
            return False
        return max(distinct, searched) > MOST_WITH_FIGURES or distinct * searched > self._most(on_gpu=False)

    def is_divided(self, distinct: int, searched: int, on_gpu: bool) -> bool:
        """Return whether the search is divided into jobs by the shards of the dataset.

        >>> NeighbourOptions(k=10).is_divided(10**5, 10**5, on_gpu=False)
        False
        >>> NeighbourOptions(k=10).is_divided(10**6, 10**6, on_gpu=False)
        True
        """
        return self.search == "exact" and distinct * searched > self._most(on_gpu)

    def _most(self, on_gpu: bool) -> int:
        if self.most_pairs != "auto":
            return self.most_pairs
        return _PAIRS_ON_GPU if on_gpu else _PAIRS_ON_PROCESSOR
