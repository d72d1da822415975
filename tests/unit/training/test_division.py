"""Splits by clusters, with the real MMseqs2."""

import random

import numpy as np
import pytest
from families import family, relative, sequence, unrelated
from labelled_rows import rows_of

from lucaflow.errors import InputError
from lucaflow.training.clusters import Links
from lucaflow.training.division import Clustering, cluster, divide, too_large
from lucaflow.training.splits import SplitOptions

FAMILIES = [family(start, 4, 0.75, seed=10 * number) for number, start in enumerate(unrelated(60))]
LABELS = ["a", "b"] * 120
OPTIONS = SplitOptions(fractions=(0.6, 0.2, 0.2))


def test_families_stay_together_and_one_more_row_moves_no_other(mmseqs, tmp_path):
    rows = rows_of([each for members in FAMILIES for each in members], LABELS)
    split = divide(rows, OPTIONS, mmseqs, tmp_path / "splits.tsv")
    for number in range(60):
        assert len({*split.parts[4 * number : 4 * number + 4]}) == 1
        assert len({*split.clusters[4 * number : 4 * number + 4]}) == 1
    assert {part: round((split.parts == part).mean(), 1) for part in ("train", "dev", "test")} == pytest.approx(
        {"train": 0.6, "dev": 0.2, "test": 0.2}, abs=0.11
    )
    more = rows_of(
        [*(each for members in FAMILIES for each in members), sequence(unrelated(1, seed=9)[0])], [*LABELS, "a"]
    )
    shuffled = random.Random(0).sample(range(241), 241)
    other = divide(
        rows_of([more.sequences[each] for each in shuffled], [more.labels[each] for each in shuffled]),
        OPTIONS, mmseqs, tmp_path / "splits.tsv",
    )  # fmt: skip
    assert [other.parts[shuffled.index(each)] for each in range(240)] == split.parts.tolist()
    assert any(note.startswith("No sequence resembles one of another part") for note in split.notes)


@pytest.fixture
def blind(mmseqs):
    """MMseqs2 whose first search, of everything, finds nothing: what it misses is for the proof to find."""

    class Blind(type(mmseqs)):
        searches = 0

        def search(self, queries, targets, *further):
            Blind.searches += 1
            return super().search(queries, targets[:0] if Blind.searches == 1 else targets, *further)

    return Blind(mmseqs.binary)


@pytest.mark.parametrize("across", ["merge", "leave_out"])
def test_hits_between_parts_merge_clusters_or_leave_sequences_out(blind, mmseqs, tmp_path, across):
    rows = rows_of([each for members in FAMILIES for each in members], LABELS)
    options = SplitOptions(fractions=(0.6, 0.2, 0.2), across=across)
    found = cluster(rows, np.arange(240), options, blind, tmp_path / "x")
    assert found.across > 10
    kept = np.flatnonzero(found.left_out == "")
    parts = found.parts[kept]
    for query, target in ((parts > 0, parts == 0), (parts == 2, parts == 1)):
        asked, searched = ([rows.sequences[each] for each in kept[chosen]] for chosen in (query, target))
        assert len(mmseqs.search(asked, searched, tmp_path / "x", 0.3, 0.8)) == 0
    assert (len(kept) == 240) == (across == "merge")
    assert {*found.left_out} == ({""} if across == "merge" else {"", "similar to dev", "similar to test"})
    assert (found.left_out[found.parts == 2] == "").all()


def test_a_cluster_that_is_larger_than_its_part_is_refused_with_the_identity_that_would_do(mmseqs, tmp_path):
    start, *others = unrelated(31)
    large = [sequence(relative(start, 0.64, number)) for number in range(30)]
    rows = rows_of([*large, *(sequence(other) for other in others)], ["a"] * 60)
    said = r"1 cluster too large for a part: the largest, with row0, has 30 rows of 60, its part may have (18|24)\."
    with pytest.raises(InputError, match=said + r" With split\.min_seq_id 0\.\d+ all fit"):
        divide(rows, SplitOptions(fractions=(0.3, 0.4, 0.3)), mmseqs, tmp_path / "x")
    same = Clustering(np.zeros(60, int), np.zeros(60, int), np.full(60, ""),
                      Links(np.arange(59), np.arange(1, 60), np.ones(59)), 0)  # fmt: skip
    assert "has 60 rows of 60" in too_large(rows, np.ones(60, bool), same, SplitOptions())[0]
    assert "No identity would do." in too_large(rows, np.ones(60, bool), same, SplitOptions())[0]


def pairs_of_families(count):
    """Return pairs of a protein of one family with one of another, each protein in two pairs."""
    generator = random.Random(3)
    return [(generator.choice(FAMILIES[generator.randrange(60)]), generator.choice(FAMILIES[generator.randrange(60)]))
            for _ in range(count)]  # fmt: skip


def test_of_pairs_the_sequences_are_divided(mmseqs, tmp_path):
    rows = rows_of(pairs_of_families(300), ["a", "b"] * 150)
    split = divide(rows, SplitOptions(fractions=(0.6, 0.2, 0.2)), mmseqs, tmp_path / "x")
    seen = {part: {*rows.sides[split.parts == part].ravel()} for part in ("train", "dev", "test")}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["dev"]
    assert not seen["dev"] & seen["test"]
    one_side = split.rows("one_side_seen")
    assert f"One side seen: {len(one_side)} pairs with one side in train" in " ".join(split.notes)
    assert len(one_side) == pytest.approx(300 * 2 * 0.6 * 0.4, rel=0.3)
    assert {*split.reasons[split.parts == "left_out"]} == {"one side in dev, the other in test"}


def test_sides_of_a_pair_stay_together_if_that_is_asked_for(mmseqs, tmp_path):
    genes = [sequence(text, "gene") for text in unrelated(60, 200, 5, "gene")]
    rows = rows_of([(genes[number // 4], FAMILIES[number // 4][number % 4]) for number in range(240)], LABELS)
    split = divide(rows, SplitOptions(fractions=(0.6, 0.2, 0.2), pairs="together"), mmseqs, tmp_path / "x")
    assert {*split.parts} == {"train", "dev", "test"}
    for number in range(60):
        assert len({*split.parts[4 * number : 4 * number + 4]}) == 1
