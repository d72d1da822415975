"""Which scores of a language model does the user request?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OF_BYTE_PAIRS = "likelihood"
WT, MASKED, JOINT, MUTANT = "wt_marginals", "masked_marginals", "masked_marginals_joint", "mutant_marginals"
# Of sequences that have the wide figures: a picture each, and rows in a table.
MOST_HEAT_MAPS = 100


@dataclass(frozen=True)
class ScoreOptions:
    """The options of `scores` in the configuration, with the same names and defaults."""

    outputs: tuple[str, ...] = ()
    methods: tuple[str, ...] = (MASKED,)
    first_residue: int = 1
    most_passes: int = 1_000_000

    @classmethod
    def from_config(cls, scores: Mapping[str, Any]) -> ScoreOptions:
        """Return the options of a resolved configuration."""
        return cls(tuple(scores["outputs"]), tuple(scores["methods"]), scores["first_residue"], scores["most_passes"])

    @property
    def scan_method(self) -> str:
        """The method of a scan: masked marginals, unless only wt_marginals are asked for, which take a single pass."""
        return WT if self.methods == (WT,) else MASKED

    @property
    def masks_all(self) -> bool:
        """Whether each residue of each sequence is hidden in turn."""
        return bool({"likelihood", "residues"} & set(self.outputs)) or self.scans_masked

    @property
    def scans_masked(self) -> bool:
        return "scan" in self.outputs and self.scan_method == MASKED

    @property
    def scans_unmasked(self) -> bool:
        return "scan" in self.outputs and self.scan_method == WT

    def files(self, variants: bool) -> list[str]:
        """Return the names of the results in `scores/`. variants: whether a file names some.

        >>> ScoreOptions(("likelihood", "scan")).files(variants=True)
        ['sequences.tsv', 'scan.h5', 'scan.tsv', 'heatmaps', 'heatmaps.sha256', 'variants.csv', 'variants.html']
        """
        names = {
            "likelihood": ["sequences.tsv"],
            "residues": ["residues.h5"],
            "scan": ["scan.h5", "scan.tsv", "heatmaps", "heatmaps.sha256"],
            "contacts": ["contacts.h5", "contacts.png", "contacts.svg"],
        }
        of_outputs = [name for output in names if output in self.outputs for name in names[output]]
        return of_outputs + ["variants.csv", "variants.html"] * variants


def scores_without_residues(version: str, outputs: Sequence[str], variants: bool) -> list[str]:
    """Return a message for each score that a model without a token for each residue lacks. version: of the model."""
    others = [name for name in outputs if name != OF_BYTE_PAIRS]
    found = []
    if others:
        found.append(
            f"scores.outputs: `{version}` reads tokens of several letters, so it has `likelihood` alone, by token; "
            f"remove {', '.join(f'`{name}`' for name in others)}"
        )
    if variants:
        found.append(
            f"variants: `{version}` reads tokens of several letters, and another letter makes other tokens; it cannot "
            "score variants"
        )
    return found
