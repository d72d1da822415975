"""Which rows train, which choose, and which test?

Whatever the method, identical sequences (of pairs: identical pairs) stay in one part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lucaflow.errors import InputError, quoted
from lucaflow.records.counts import counted
from lucaflow.records.sequences import NormalisedSequence
from lucaflow.training.clusters import (
    DEFAULT_IDENTITY,
    DEV,
    PARTS,
    TEST,
    TRAIN,
    Links,
    Similarity,
    chance,
    components,
    parts_of_keys,
    smallest,
)  # fmt: skip

LEFT_OUT, ONE_SIDE_SEEN = "left_out", "one_side_seen"
Method = Literal["cluster", "random", "group", "column"]
_PART_NAMES = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("dev", "development", "valid", "validation", "val", "vld"), DEV),
    **dict.fromkeys(("test", "testing", "tst"), TEST),
}
_MOST_NAMED = 5


@dataclass(frozen=True)
class SplitOptions:
    """How rows are divided.

    fractions: of train, dev, test; seed: chooses the parts; min_seq_id: identity from which on sequences are kept
    together, None for 0.3 of proteins and 0.8 of nucleotides; coverage: share of both sequences that is aligned at
    least; across: clusters of different parts that resemble each other are merged, or the rows of train (of dev, if the
    other is in test) are left out; contradictions: rows of one sequence with different labels are refused or dropped;
    pairs: `sides` divides sequences, so that a test pair has no side that was seen; `together` keeps a pair's sides,
    and all that they are joined to, in one part.
    """

    method: Method = "cluster"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 1221
    min_seq_id: float | None = None
    coverage: float = 0.8
    across: Literal["merge", "leave_out"] = "merge"
    contradictions: Literal["refuse", "drop"] = "refuse"
    pairs: Literal["sides", "together"] = "sides"

    @property
    def method_column(self) -> str:
        """The column that says the part or the group."""
        return "split_column" if self.method == "column" else "group_column"

    @property
    def similarity(self) -> Similarity:
        given = self.min_seq_id
        return Similarity({kind: given or value for kind, value in DEFAULT_IDENTITY.items()}, self.coverage)


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a labelled table.

    ids: (n,) names for messages and tables; sequences: the U distinct ones; sides: (n, 1) or, of pairs, (n, 2)
    positions in `sequences`; labels: (n,) texts; classes: (n,) the classes of each row, None for a regression; given:
    (n,) cells of split_column or group_column, as the method needs; said: (n,) what each label says, by which those of
    one sequence are compared, None for the classes or the number.
    """

    ids: Sequence[str]
    sequences: Sequence[NormalisedSequence]
    sides: np.ndarray
    labels: Sequence[str]
    classes: Sequence[frozenset[str]] | None = None
    given: Sequence[str] | None = None
    said: Sequence[Hashable] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def keys(self) -> list[str]:
        """Return a name of what each row is about: the digest of its sequence, or both digests of a pair."""
        digests = [sequence.digest for sequence in self.sequences]
        return [" ".join(digests[side] for side in row) for row in self.sides.tolist()]


@dataclass(frozen=True)
class Split:
    """parts: (n,) `train`, `dev`, `test`, `one_side_seen` or `left_out`; reasons: (n,) why a row is left out, or empty;
    clusters: (n,) the cluster of each row, named by its smallest digest, by which test rows are resampled; notes: what
    the report says about the split.
    """

    parts: np.ndarray
    reasons: np.ndarray
    clusters: np.ndarray
    notes: tuple[str, ...]

    def rows(self, part: str) -> np.ndarray:
        """Return the numbers of a part's rows."""
        return np.flatnonzero(self.parts == part)


def refuse(place: str, problems: Sequence[str]) -> None:
    """Raise InputError with all problems of a labelled table at once, if there are any."""
    if problems:
        raise InputError("\n".join((f"{place} cannot be divided into train, dev and test:", *problems)))


def contradictions(rows: LabelledRows) -> np.ndarray:
    """Return which rows (n,) have a sequence that has another label in another row.

    Labels are compared as sets of classes, or as numbers.
    """
    labels: dict[str, set[object]] = {}
    keys = rows.keys()
    values: Iterable[Hashable] = map(float, rows.labels) if rows.classes is None else rows.classes
    if rows.said is not None:
        values = rows.said
    for key, label in zip(keys, values, strict=True):
        labels.setdefault(key, set()).add(label)
    return np.array([len(labels[key]) > 1 for key in keys], dtype=bool)


def problems_beforehand(rows: LabelledRows, options: SplitOptions) -> list[str]:
    """Return what refuses the rows before anything is computed."""
    found = []
    contradicting = contradictions(rows)
    if contradicting.any() and options.contradictions == "refuse":
        named = [
            f"{rows.ids[each]} ({quoted(rows.labels[each], 40)})" for each in np.flatnonzero(contradicting).tolist()
        ]
        found.append(
            f"- {counted(len(named), 'row')} of a sequence that has another label elsewhere: {_some(named)}. Correct "
            "them, or set split.contradictions to `drop` to leave them all out."
        )
    if min(options.fractions) <= 0 or abs(sum(options.fractions) - 1) > 1e-6:
        found.append(f"- split.fractions are {[*options.fractions]}; they must be above 0 and add up to 1.")
    if options.method in {"column", "group"} and rows.given is None:
        found.append(f"- split.method is `{options.method}`, but {options.method_column} names no column.")
    elif options.method == "column":
        unknown = Counter(cell for cell in rows.given or () if cell and cell.strip().lower() not in _PART_NAMES)
        named = [f"{quoted(cell, 40)} ({counted(count, 'row')})" for cell, count in unknown.most_common()]
        if named:
            found.append(f"- split_column has {_some(named)}. Expected are train, dev and test, or nothing.")
    elif options.method == "group":
        without = [name for name, cell in zip(rows.ids, rows.given or (), strict=True) if not cell]
        if without:
            rows_without = counted(len(without), "row")
            found.append(f"- group_column is empty in {rows_without}: {_some(without)}. Name a group for each.")
    return found


def problems_afterwards(rows: LabelledRows, parts: np.ndarray) -> list[str]:
    """Return what refuses the parts (n,): an empty one, or a class without training rows."""
    counts = {part: int((parts == part).sum()) for part in PARTS}
    found = [
        f"- {part} has no rows ({', '.join(f'{name}: {count}' for name, count in counts.items())}). "
        "Add rows, or change split.fractions, split.seed or split.method."
        for part in PARTS
        if not counts[part]
    ]
    if rows.classes is not None:
        seen, elsewhere = (
            Counter(name for each in np.flatnonzero(chosen).tolist() for name in rows.classes[each])
            for chosen in (parts == "train", (parts != "train") & (parts != LEFT_OUT))
        )
        missing = Counter({name: count for name, count in elsewhere.items() if name not in seen})
        named = [f"{quoted(name, 40)} ({counted(count, 'row')} elsewhere)" for name, count in missing.most_common()]
        if named:
            found.append(
                f"- train has no rows of {_some(named)}. Add rows of other sequences, leave the class out, "
                "raise split.min_seq_id, or change split.seed or split.method."
            )
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def random_parts(rows: LabelledRows, usable: np.ndarray, options: SplitOptions) -> np.ndarray:
    """Return the part (n,) of each row: the same shares of each class, and always a row in train.

    usable: (n,) bool, rows that count. Within a class (of several, the rarest of a row), sequences are in the order of
    a hash; so one more moves one other at each end of a part, at most. The rows of a regression are one class.
    """
    keys, strata_of = rows.keys(), _rarest_classes(rows)
    found = np.full(len(rows), TRAIN)
    strata: dict[str, dict[str, None]] = {}
    for each in np.flatnonzero(usable).tolist():
        strata.setdefault(strata_of[each], {})[keys[each]] = None
    part_of: dict[str, int] = {}
    for label, members in strata.items():
        ordered = sorted(members, key=lambda key: chance(key, options.seed))
        # Labels of few sequences take part in dev and test by chance, as often as the fractions say.
        ends = len(ordered) * np.cumsum([options.fractions[TEST], options.fractions[DEV]])
        test, dev = np.minimum(np.floor(ends + chance(label, options.seed)), len(ordered) - 1)
        part_of |= {key: TEST if place < test else DEV if place < dev else TRAIN for place, key in enumerate(ordered)}
    found[usable] = [part_of[keys[each]] for each in np.flatnonzero(usable).tolist()]
    return found


def _rarest_classes(rows: LabelledRows) -> list[str]:
    """Return the rarest class of each row; the same for all rows of a regression."""
    if rows.classes is None:
        return [""] * len(rows)
    counts = Counter(name for names in rows.classes for name in names)
    return [min(names, key=lambda name: (counts[name], name), default="") for names in rows.classes]


def group_parts(rows: LabelledRows, options: SplitOptions) -> tuple[np.ndarray, list[str]]:
    """Return the part (n,) of each row and the name (n,) of its group. Groups that share a sequence are one."""
    names = [*dict.fromkeys(rows.given or ())]
    place = {name: number for number, name in enumerate(names)}
    numbers = np.array([place[name] for name in rows.given or ()], dtype=int)
    first: dict[int, int] = {}
    joined = [
        (number, first.setdefault(side, number))
        for number, sides in zip(numbers.tolist(), rows.sides.tolist(), strict=True)
        for side in sides
    ]
    ends = np.array(joined, dtype=int).reshape(-1, 2)
    clusters = components(len(names), Links(ends[:, 0], ends[:, 1], np.ones(len(ends))))
    keys = smallest(names, clusters)
    parts = parts_of_keys(keys, options.seed, options.fractions)
    return parts[clusters[numbers]], [keys[cluster] for cluster in clusters[numbers]]


def column_parts(rows: LabelledRows) -> tuple[np.ndarray, np.ndarray]:
    """Return the part (n,) that each row is given, and why (n,) a row is left out.

    A sequence in several parts stays in the last of train, dev, test: what tests is never trained on.
    """
    given = [_PART_NAMES.get(cell.strip().lower(), -1) for cell in rows.given or ()]
    keys = rows.keys()
    last: dict[str, int] = {}
    for key, part in zip(keys, given, strict=True):
        last[key] = max(part, last.get(key, -1))
    reasons = [
        "no part in split_column" if part < 0 else
        f"the same in {PARTS[last[key]]}" if part < last[key] else ""
        for key, part in zip(keys, given, strict=True)
    ]  # fmt: skip
    return np.maximum(given, 0), np.array(reasons, dtype=object)


def parts_of_pairs(sides: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the part (n,) of each row, as text, and why (n,) it is left out. sides: (n, 1 or 2); parts: (U,)."""
    a, b = parts[sides[:, 0]], parts[sides[:, -1]]
    names = np.array(PARTS, dtype=object)
    found = np.where(a == b, names[a], np.where((a == TRAIN) | (b == TRAIN), ONE_SIDE_SEEN, LEFT_OUT))
    reasons = np.where(found == LEFT_OUT, "one side in dev, the other in test", "")
    return found.astype(object), reasons.astype(object)


def write_splits(path: Path, rows: LabelledRows, split: Split) -> None:
    """Write splits.tsv: a row for each labelled row, with its part, its cluster, and why it is left out."""
    import pandas as pd

    from lucaflow.files.writing import write_table

    digests = [sequence.digest for sequence in rows.sequences]
    names = ["digest"] if rows.sides.shape[1] == 1 else ["digest_a", "digest_b"]
    table = {"id": rows.ids, "split": split.parts, "cluster": split.clusters, "label": rows.labels}
    table |= {name: [digests[side] for side in rows.sides[:, each]] for each, name in enumerate(names)}
    write_table(path, pd.DataFrame({**table, "reason": split.reasons}))
