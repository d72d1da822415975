"""The overview of a dataset joins tables in the order of the records, and its page shows the first rows."""

import tracemalloc

import pytest

from lucaflow.errors import StoreError
from lucaflow.records.record_files import RECORD_COLUMNS
from lucaflow.report import all_records
from lucaflow.report.all_records import Source, rows_of, sources_of_records, write_overview


def write(path, header, rows, delimiter="\t"):
    path.write_text("".join(delimiter.join(row) + "\n" for row in [header, *rows]))
    return path


def records(tmp_path, *rows):
    """rows: id, status, length."""
    lines = [
        [str(number), "1", identifier, "about it", "prot", "", "", status, "", length, "0", "d"]
        for number, (identifier, status, length) in enumerate(rows, start=1)
    ]
    return write(tmp_path / "records.tsv", RECORD_COLUMNS, lines)


@pytest.fixture
def tables(tmp_path):
    """Four records: one was dropped, and has the id of an accepted one."""
    table = records(tmp_path, ("a", "dropped", "0"), ("a", "accepted", "12"), ("b", "accepted", "7"),
                    ("c", "accepted", "30"))  # fmt: skip
    labels = write(tmp_path / "labels.tsv", ["record", "label"], [["2", "x"], ["4", "y"]])
    columns = write(
        tmp_path / "columns.tsv", ["record", "organism", "similarity"], [["1", "E. coli", "-"], ["3", "Yeast", "5"]]
    )
    neighbours = write(
        tmp_path / "neighbours.tsv",
        ["id", "rank", "neighbour", "similarity"],
        [["a", "1", "c", "0.9"], ["a", "2", "b", "0.8"], ["c", "1", "a", "0.7"]],
    )
    task = write(tmp_path / "T.csv", ["seq_id", "seq", "prob", "label"], [["b", "MK", "0.5", "Nucleus"]], ",")
    added = [
        Source(neighbours, "id", {"neighbour": "nearest_neighbour", "similarity": "similarity"}),
        Source(task, "seq_id", {"label": "T", "prob": "T probability"}),
    ]
    taken = [name for source in added for name in source.columns.values()]
    return table, [*sources_of_records(labels, columns, taken), *added]


def test_each_record_has_a_row_with_all_that_is_known(tables):
    header, *rows = rows_of(*tables)
    assert header == ["id", "outcome", "reason", "length", "description", "label", "organism", "similarity (input)",
                      "nearest_neighbour", "similarity", "T", "T probability"]  # fmt: skip
    assert [row[:4] + row[5:] for row in rows] == [
        ["a", "dropped", "", "0", "", "E. coli", "-", "", "", "", ""],
        ["a", "accepted", "", "12", "x", "", "", "c", "0.9", "", ""],
        ["b", "accepted", "", "7", "", "Yeast", "5", "", "", "Nucleus", "0.5"],
        ["c", "accepted", "", "30", "y", "", "", "a", "0.7", "", ""],
    ]


def test_rows_of_other_records_are_refused(tables, tmp_path):
    table, sources = tables
    write(tmp_path / "T.csv", ["seq_id", "seq", "prob", "label"], [["c", "M", "1", "x"], ["b", "M", "1", "x"]], ",")
    with pytest.raises(StoreError, match=r"T\.csv: its rows do not belong to the records of"):
        list(rows_of(table, sources))


def test_the_page_has_the_first_rows_and_says_so(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(all_records, "MOST_ROWS", 3)
    write_overview(rows_of(*tables), tmp_path / "overview.tsv", "d", [["vectors", "accuracy"], ["mini-1", "0.9"]])
    assert len((tmp_path / "overview.tsv").read_text().splitlines()) == 5
    page = (tmp_path / "overview.html").read_text()
    assert "The first 3 of 4 records; overview.tsv has them all" in page
    assert "Nucleus" in page
    assert "Do the labels cluster?" in page
    assert ">reason<" not in page, "no record has one"
    assert "<td>y</td>" not in page, "the fourth record is not there"
    assert "<td class=number data-order=0.9>0.9</td>" in page


def test_numbers_are_told_from_names():
    assert all_records._as_numbers(["1", "", "-3"]) == [1, None, -3]
    assert all_records._as_numbers(["1", "2.5", "1e-05", "-"]) == [1, 2.5, 1e-05, None]
    for names in (["007", "1"], ["1E5"], ["a"], ["12345678901234567890"]):
        assert all_records._as_numbers(names) == names


def test_memory_does_not_grow_with_the_records(tmp_path):
    count = 50_000
    table = records(tmp_path, *((f"protein{number}", "accepted", "300") for number in range(count)))
    rows = [[f"protein{number}", "1", "other", "0.5"] for number in range(count)]
    neighbours = write(tmp_path / "neighbours.tsv", ["id", "rank", "neighbour", "similarity"], rows)
    del rows
    tracemalloc.start()
    write_overview(rows_of(table, [Source(neighbours, "id", {"neighbour": "n"})]), tmp_path / "overview.tsv", "d")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000
    assert sum(1 for _ in (tmp_path / "overview.tsv").open()) == count + 1
