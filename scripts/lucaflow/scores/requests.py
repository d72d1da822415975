"""Which passes of a language model do the scores of a dataset need, and how long will they take?

A pass has a name among those of its sequence: `u` with nothing hidden, `m5` with residue 5 hidden (from 0), `j5,9` with
both hidden, `x5A,9G` with both replaced. So variants that share a position share its pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lucaflow.config.scores import JOINT, MASKED, MUTANT, WT, ScoreOptions
from lucaflow.records.variant_files import Variant
from lucaflow.records.variants import NEW_LETTERS, Substitution

Changes = tuple[Substitution, ...]
# Tokens that an encoder adds to a sequence.
_SPECIAL = 2
UNMASKED = "u"
# All passes of a sequence of byte pairs: the log-probability of each token that is there, and the entropy.
BYTE_PAIRS = "t"


@dataclass
class VariantPasses:
    """The passes that the variants of a sequence need: hidden positions, sets of them, and mutants."""

    residues: str
    unmasked: bool = False
    positions: set[int] = field(default_factory=set)
    joint: dict[tuple[int, ...], None] = field(default_factory=dict)
    mutants: dict[Changes, None] = field(default_factory=dict)

    def add(self, changes: Changes, methods: Iterable[str]) -> None:
        """Add what a variant needs. One without changes needs nothing: its score is 0."""
        at = tuple(change.position for change in changes)
        for method in methods if changes else ():
            if method == WT:
                self.unmasked = True
            elif method == MASKED:
                self.positions.update(at)
            elif method == JOINT and len(at) == 1:
                # The same pass as that of the single position.
                self.positions.update(at)
            elif method == JOINT:
                self.joint[at] = None
            elif method == MUTANT:
                self.mutants[changes] = None


def passes_of_variants(variants: Iterable[Variant], methods: Iterable[str]) -> dict[str, VariantPasses]:
    """Return the passes that variants need, by the digest of their sequence."""
    found: dict[str, VariantPasses] = {}
    methods = tuple(methods)
    for variant in variants:
        if variant.target and not variant.reason:
            digest, residues = variant.target.digest, variant.target.sequence
            found.setdefault(digest, VariantPasses(residues)).add(variant.changes, methods)
    return found


def name_of_masked(position: int) -> str:
    return f"m{position}"


def name_of_joint(positions: tuple[int, ...]) -> str:
    """Return the name of the pass with all these positions hidden.

    >>> name_of_joint((4,)), name_of_joint((4, 8))
    ('m4', 'j4,8')
    """
    return name_of_masked(positions[0]) if len(positions) == 1 else "j" + ",".join(map(str, positions))


def name_of_mutant(changes: Changes) -> str:
    return "x" + ",".join(f"{change.position}{change.after}" for change in changes)


def name_of_influence(position: int) -> str:
    """Return the name of the passes with one position replaced by each letter."""
    return f"i{position}"


def kind_of(name: str) -> str:
    """Return the kind of a pass: the first letter of its name.

    >>> kind_of(name_of_joint((4, 8))), kind_of(name_of_influence(4))
    ('j', 'i')
    """
    return name[:1]


@dataclass(frozen=True)
class Work:
    """How many passes, and how many tokens go through the network in them; pairs: the sum of tokens squared."""

    passes: int = 0
    tokens: int = 0
    pairs: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.passes + other.passes, self.tokens + other.tokens, self.pairs + other.pairs)

    @classmethod
    def of(cls, passes: int, length: int) -> Work:
        """Return the work of passes over a sequence of `length` residues, or byte pairs."""
        tokens = length + _SPECIAL
        return cls(passes, passes * tokens, passes * tokens * tokens)


def work_of_outputs(
    lengths: Mapping[int, int], scores: ScoreOptions, seq_type: str, letters_per_token: int = 1
) -> Work:
    """Return the work of the outputs of a dataset. lengths: number of distinct sequences of each length.

    letters_per_token: 1, or for byte pairs the letters of one, roughly.

    >>> work_of_outputs({300: 1}, ScoreOptions(("scan", "contacts")), "prot").passes
    6300
    """
    total = Work()
    for length, count in lengths.items():
        tokens = -(-length // letters_per_token)
        passes = tokens * scores.masks_all + scores.scans_unmasked
        if "contacts" in scores.outputs:
            passes += len(NEW_LETTERS[seq_type]) * tokens
        total += Work.of(passes * count, tokens)
    return total


def work_of_variants(found: Mapping[str, VariantPasses], scores: ScoreOptions) -> Work:
    """Return the work of variants, without the passes that the outputs need anyway."""
    total = Work()
    for passes in found.values():
        count = len(passes.joint) + len(passes.mutants)
        count += 0 if scores.masks_all else len(passes.positions)
        count += passes.unmasked and not scores.scans_unmasked
        total += Work.of(count, len(passes.residues))
    return total


def tokens_by_kind(
    length: int, scores: ScoreOptions, seq_type: str, variants: VariantPasses | None, letters_per_token: int = 1
) -> dict[str, int]:
    """Return the tokens of all passes that a sequence needs, by kind of pass. letters_per_token: as in work_of_outputs.

    >>> tokens_by_kind(10, ScoreOptions(("likelihood", "contacts")), "prot", None)
    {'m': 120, 'i': 2400}
    """
    size = -(-length // letters_per_token)
    if letters_per_token > 1:
        return {BYTE_PAIRS: Work.of(size * scores.masks_all, size).tokens}
    of_variants = variants or VariantPasses("")
    passes = {
        "u": int(scores.scans_unmasked or of_variants.unmasked),
        "m": size if scores.masks_all else len(of_variants.positions),
        "j": len(of_variants.joint),
        "x": len(of_variants.mutants),
        "i": len(NEW_LETTERS[seq_type]) * size * ("contacts" in scores.outputs),
    }
    return {kind: Work.of(count, size).tokens for kind, count in passes.items() if count}


def wanted_names(length: int, scores: ScoreOptions, variants: VariantPasses | None) -> Iterator[tuple[str, object]]:
    """Yield the names of the passes of a sequence, each with what it hides or changes, in a fixed order.

    What: None for the sequence itself, an integer or several for hidden positions, else the changes of a mutant.
    """
    if scores.scans_unmasked or (variants and variants.unmasked):
        yield UNMASKED, None
    masked = range(length) if scores.masks_all else sorted(variants.positions) if variants else ()
    yield from ((name_of_masked(position), (position,)) for position in masked)
    if variants:
        yield from ((name_of_joint(positions), positions) for positions in sorted(variants.joint))
        yield from ((name_of_mutant(changes), changes) for changes in sorted(variants.mutants))
