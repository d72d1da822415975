"""Divide a labelled table, and prove that no cluster is in two parts."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lucaflow.records.counts import counted
from lucaflow.training.clusters import (
    DEV,
    PARTS,
    TEST,
    TRAIN,
    Links,
    components,
    find_links,
    no_links,
    parts_of_keys,
    smallest,
)  # fmt: skip
from lucaflow.training.mmseqs import Mmseqs
from lucaflow.training.splits import (
    LEFT_OUT,
    ONE_SIDE_SEEN,
    LabelledRows,
    Split,
    SplitOptions,
    column_parts,
    contradictions,
    group_parts,
    parts_of_pairs,
    problems_afterwards,
    problems_beforehand,
    random_parts,
    refuse,
)  # fmt: skip

logger = logging.getLogger(__name__)

# Identities that are tried for advice.
_IDENTITIES = np.arange(0.35, 1.0, 0.05).round(2)
# Both sides of a pair are joined whatever identity is asked for.
_JOINED = 2.0
_FEW_CLUSTERS = 30


@dataclass(frozen=True)
class Clustering:
    """Clusters of sequences and their parts, proven apart.

    clusters: (U,) numbers from 0, -1 for sequences of no row that counts; parts: (U,) numbers of `PARTS`; left_out:
    (U,) why a sequence is left out, or empty; links: all that were found; across: how many of them were found between
    parts before the clusters were merged or sequences left out.
    """

    clusters: np.ndarray
    parts: np.ndarray
    left_out: np.ndarray
    links: Links
    across: int


def divide(rows: LabelledRows, options: SplitOptions, mmseqs: Mmseqs, results: Path, place: str = "The table") -> Split:
    """Divide rows into train, dev and test.

    results: splits.tsv, beside which temporary files are; place: what messages call the table. Raises InputError with
    all that is wrong at once: before computing, contradicting labels and cells that name no part or group; after it, a
    cluster that is larger than its part, an empty part, and a class without rows in train.
    """
    refuse(place, problems_beforehand(rows, options))
    reasons = np.where(contradictions(rows), "another label elsewhere", "").astype(object)
    problems: list[str] = []
    notes: list[str] = []
    if options.method == "cluster":
        used = np.unique(rows.sides[reasons == ""])
        found = cluster(rows, used, options, mmseqs, results)
        problems = too_large(rows, reasons == "", found, options)
        parts, apart = parts_of_pairs(rows.sides, found.parts)
        for side in rows.sides.T:
            apart = np.where(found.left_out[side] != "", found.left_out[side], apart)
        names = _names_of_clusters(rows, found)
        notes.append(_proof(rows, found, options))
    else:
        parts, apart, names = _parts_otherwise(rows, reasons == "", options)
    reasons = np.where(reasons != "", reasons, apart)
    parts = np.where(reasons != "", LEFT_OUT, parts).astype(object)
    refuse(place, problems + problems_afterwards(rows, parts))
    if options.method in {"random", "column"}:
        names = evaluated_clusters(rows, parts, options, mmseqs, results)
    return Split(parts, reasons, names, (*_counts(parts, reasons, names, options), *notes))


def _parts_otherwise(
    rows: LabelledRows, usable: np.ndarray, options: SplitOptions
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return parts as text, reasons and names of clusters, (n,) each, of a method that compares no sequences."""
    reasons, names = np.full(len(rows), "", dtype=object), np.full(len(rows), "", dtype=object)
    if options.method == "random":
        numbers = random_parts(rows, usable, options)
    elif options.method == "group":
        numbers, groups = group_parts(rows, options)
        names = np.array(groups, dtype=object)
    else:
        numbers, reasons = column_parts(rows)
    return np.array(PARTS, dtype=object)[numbers], reasons, names


def cluster(rows: LabelledRows, used: np.ndarray, options: SplitOptions, mmseqs: Mmseqs, results: Path) -> Clustering:
    """Cluster the sequences at the positions `used` (V,), assign parts, and search between the parts until no hit is
    left: clusters that a hit joins are merged, or sequences left out, as options.across says."""
    digests = [rows.sequences[each].digest for each in used.tolist()]
    size, similarity = len(rows.sequences), options.similarity
    links = find_links(rows.sequences, used, used, similarity, mmseqs, results)
    if options.pairs == "together" and rows.sides.shape[1] == 2:
        ends = rows.sides[np.isin(rows.sides, used).all(axis=1)]
        links += Links(ends[:, 0], ends[:, 1], np.full(len(ends), _JOINED))
    left_out = np.full(size, "", dtype=object)
    across = 0
    while True:
        clusters = np.full(size, -1)
        clusters[used] = np.unique(components(size, links)[used], return_inverse=True)[1]
        keys = smallest(digests, clusters[used])
        parts = parts_of_keys(keys, options.seed, options.fractions)[clusters]
        crossing = between_parts(rows, used[left_out[used] == ""], parts, options, mmseqs, results)
        if not len(crossing):
            return Clustering(clusters, parts, left_out, links, across)
        across += len(crossing)
        logger.info("%s between parts", counted(len(crossing), "hit"))
        if options.across == "merge":
            links += crossing
        else:
            # The order of the parts is that of their use: what tests is kept, and what it resembles is left out.
            earlier = np.where(parts[crossing.first] < parts[crossing.second], crossing.first, crossing.second)
            later = np.maximum(parts[crossing.first], parts[crossing.second])
            for sequence, part in zip(earlier.tolist(), later.tolist(), strict=True):
                left_out[sequence] = f"similar to {PARTS[part]}"


def between_parts(
    rows: LabelledRows, used: np.ndarray, parts: np.ndarray, options: SplitOptions, mmseqs: Mmseqs, results: Path
) -> Links:
    """Return the links of sequences `used` (V,) in different parts (U,): the proof of a split if there are none."""
    found = no_links()
    for queries, targets in (((DEV, TEST), TRAIN), ((TEST,), DEV)):
        asked, searched = used[np.isin(parts[used], queries)], used[parts[used] == targets]
        found += find_links(rows.sequences, asked, searched, options.similarity, mmseqs, results)
    return found


def too_large(rows: LabelledRows, usable: np.ndarray, found: Clustering, options: SplitOptions) -> list[str]:
    """Return what refuses clusters that are larger than their part, with the identity at which all would fit."""
    weights, unit = _weights(rows, usable, options)
    digests = np.array([sequence.digest for sequence in rows.sequences], dtype=object)
    used = found.clusters >= 0

    def sizes(links: Links) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the clusters of the sequences that are used, the size of each, and the most that its part may have."""
        clusters = np.unique(components(len(weights), links)[used], return_inverse=True)[1]
        parts = parts_of_keys(smallest(list(digests[used]), clusters), options.seed, options.fractions)
        most = np.array(options.fractions)[parts] * weights.sum()
        return clusters, np.bincount(clusters, weights[used]), most

    clusters, size, most = sizes(found.links)
    over = np.flatnonzero(size > most + 1e-9)
    if not len(over):
        return []
    worst = over[np.argmax((size - most)[over])]
    members = np.flatnonzero(used)[clusters == worst]
    name = rows.ids[int(np.isin(rows.sides, members).any(axis=1).argmax())]
    advice = "No identity would do"
    for identity in _IDENTITIES[max(_lowest(rows, options), 0) < _IDENTITIES]:
        _, smaller, room = sizes(found.links.at_least(identity))
        if (smaller <= room + 1e-9).all():
            advice = (
                f"With split.min_seq_id {identity:g} all fit (the largest has {smaller.max():.0f}), but test then "
                "resembles train up to that identity"
            )
            break
    return [
        f"- {counted(len(over), 'cluster')} too large for a part: the largest, with {name}, has {size[worst]:.0f} "
        f"{unit} of {weights.sum():.0f}, its part may have {most[worst]:.0f}. {advice}. Otherwise change "
        "split.fractions, split.seed or split.method."
    ]


def _lowest(rows: LabelledRows, options: SplitOptions) -> float:
    """Return the lowest identity at which sequences of these types are joined."""
    return min(options.similarity.min_seq_id[each] for each in {sequence.seq_type for sequence in rows.sequences})


def _weights(rows: LabelledRows, usable: np.ndarray, options: SplitOptions) -> tuple[np.ndarray, str]:
    """Return how much each sequence (U,) counts in the size of a cluster, and what is counted."""
    if rows.sides.shape[1] == 2 and options.pairs == "sides":
        counts = np.bincount(rows.sides[usable].ravel(), minlength=len(rows.sequences))
        return (counts > 0).astype(float), "sequences"
    counts = np.bincount(rows.sides[usable][:, 0], minlength=len(rows.sequences))
    return counts.astype(float), "rows" if rows.sides.shape[1] == 1 else "pairs"


def _names_of_clusters(rows: LabelledRows, found: Clustering) -> np.ndarray:
    """Return the cluster (n,) of each row, named by its smallest digest; empty for a row that does not count.

    A pair's is that of the side with fewer clusters, since pairs that share it depend on each other the most.
    """
    used = np.flatnonzero(found.clusters >= 0)
    keys = smallest([rows.sequences[each].digest for each in used.tolist()], found.clusters[used])
    names = np.array([*(key[:16] for key in keys), ""], dtype=object)
    sides = found.clusters[rows.sides]
    side = min(range(sides.shape[1]), key=lambda each: len(np.unique(sides[:, each])))
    return names[sides[:, side]]


def evaluated_clusters(
    rows: LabelledRows, parts: np.ndarray, options: SplitOptions, mmseqs: Mmseqs, results: Path
) -> np.ndarray:
    """Return the cluster (n,) of each row of dev and test, by which it is resampled; empty for other rows."""
    evaluated = np.isin(parts, PARTS[1:])
    used = np.unique(rows.sides[evaluated])
    links = find_links(rows.sequences, used, used, options.similarity, mmseqs, results)
    clusters = np.full(len(rows.sequences), -1)
    clusters[used] = np.unique(components(len(rows.sequences), links)[used], return_inverse=True)[1]
    empty = np.full(len(rows.sequences), "", dtype=object)
    names = _names_of_clusters(rows, Clustering(clusters, np.zeros_like(clusters), empty, links, 0))
    return np.where(evaluated, names, "")


def _proof(rows: LabelledRows, found: Clustering, options: SplitOptions) -> str:
    limits = options.similarity
    types = sorted({sequence.seq_type for sequence in rows.sequences})
    identities = " and ".join(f"{limits.min_seq_id[each]:g} ({each})" for each in types)
    done = "joined clusters to one" if options.across == "merge" else "left sequences out"
    before = f" Searches before it found {found.across}, which {done}." if found.across else ""
    return (
        f"No sequence resembles one of another part: a search between the parts found none at {identities} identity "
        f"over {limits.coverage:g} of both.{before}"
    )


def _counts(parts: np.ndarray, reasons: np.ndarray, names: np.ndarray, options: SplitOptions) -> list[str]:
    """Return what is said about the numbers of rows and clusters."""
    counts = {part: int((parts == part).sum()) for part in PARTS}
    total = sum(counts.values())
    shares = ", ".join(f"{part} {count} ({count / total:.0%})" for part, count in counts.items())
    found = [f"Rows: {shares}."]
    if options.method != "column":
        asked = ", ".join(f"{share:.0%}" for share in options.fractions)
        far = max(abs(counts[part] / total - share) for part, share in zip(PARTS, options.fractions, strict=True))
        if far > 0.05:
            found.append(
                f"Asked for were {asked}: clusters stay whole, and of few the shares are a matter of chance. Another "
                "split.seed draws anew."
            )
    clusters = len({*names[parts == "test"]} - {""})
    if clusters < _FEW_CLUSTERS:
        found.append(f"The test rows are of {counted(clusters, 'cluster')} only: what they show is uncertain.")
    one_side = int((parts == ONE_SIDE_SEEN).sum())
    if one_side:
        pairs = counted(one_side, "pair")
        found.append(f"One side seen: {pairs} with one side in train and one elsewhere, which do not train.")
    left_out = Counter(reasons[reasons != ""]).most_common()
    return found + [f"Left out: {counted(count, 'row')}, {reason}." for reason, count in left_out]
