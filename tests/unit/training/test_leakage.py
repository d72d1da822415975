"""How much of dev and test resembles train, by the real MMseqs2."""

import numpy as np
import pytest
from families import relative, sequence, unrelated
from labelled_rows import rows_of

from lucaflow.files.writing import write_table
from lucaflow.training.leakage import find_neighbours, leakage_table, with_neighbour
from lucaflow.training.splits import Split

STARTS = unrelated(12, 150)


def split_of(parts):
    empty = np.full(len(parts), "", dtype=object)
    return Split(np.array(parts, dtype=object), empty, empty, ())


def test_rows_with_a_neighbour_are_counted_at_each_identity(mmseqs, tmp_path):
    shares = (0.4, 0.6, 0.8, 0.95)
    relatives = [sequence(relative(STARTS[number], share, number)) for number, share in enumerate(shares)]
    half = sequence(STARTS[4][:75] + unrelated(1, 75, 8)[0])
    rows = rows_of([*map(sequence, STARTS[:10]), *relatives, half, *map(sequence, STARTS[10:])], ["a"] * 17)
    split = split_of(["train"] * 10 + ["test"] * 5 + ["test", "dev"])
    neighbours = find_neighbours(rows, split, mmseqs, tmp_path / "leakage.tsv")
    table = leakage_table(rows, split, neighbours)
    counts = table[table["split"] == "test"].set_index("identity")["with_neighbour"].to_dict()
    assert counts == {"0.3": 4, "0.5": 3, "0.7": 2, "0.9": 1, "any part": 5}
    assert table.set_index(["split", "identity"]).loc[("test", "0.7"), "share"] == pytest.approx(2 / 6)
    assert table.loc[table["split"] == "dev", "with_neighbour"].tolist() == [0] * 5
    assert neighbours.best[10:].tolist() == [0, 1, 2, 3, 4, -1, -1]
    assert np.flatnonzero(with_neighbour(rows, neighbours, 0.7)).tolist() == [*range(10), 12, 13]
    write_table(tmp_path / "leakage.tsv", table)
    assert (tmp_path / "leakage.tsv").read_text().splitlines()[6] == "test\t\t0.3\t6\t4\t0.666666667"


def test_each_side_of_pairs_is_counted_with_the_identities_of_its_type(mmseqs, tmp_path):
    genes = [sequence(text, "gene") for text in unrelated(3, 200, 2, "gene")]
    close = sequence(relative(genes[0].residues, 0.97, 1, "gene"), "gene")
    proteins = [sequence(start) for start in STARTS[:3]]
    rows = rows_of([(genes[0], proteins[0]), (close, proteins[1]), (genes[1], proteins[0])], ["a"] * 3)
    split = split_of(["train", "test", "one_side_seen"])
    table = leakage_table(rows, split, find_neighbours(rows, split, mmseqs, tmp_path / "leakage.tsv"))
    found = table.set_index(["split", "side", "identity"])["with_neighbour"].to_dict()
    assert [found["test", "a", identity] for identity in ("0.8", "0.9", "0.95", "0.99")] == [1, 1, 1, 0]
    assert [found["test", "b", identity] for identity in ("0.3", "0.5", "0.7", "0.9")] == [0, 0, 0, 0]
    assert found["one_side_seen", "a", "0.8"] == 0
    assert found["one_side_seen", "b", "0.9"] == 1
