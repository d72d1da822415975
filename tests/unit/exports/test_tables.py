import csv
import gzip

import anndata
import h5py
import numpy as np
import pandas as pd

from lucaflow.exports.csv_files import export_csv
from lucaflow.exports.numpy_files import export_npy
from lucaflow.exports.tables import RecordTables, export_anndata, export_parquet, in_blocks
from lucaflow.store.format import EMBEDDINGS_FORMAT
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION


def test_blocks_have_one_size_wherever_records_were_dropped():
    """A block is a row group of Parquet: its size must not follow how the records were read."""
    table = pd.DataFrame({"id": np.arange(10)})
    blocks = list(in_blocks(iter([table[:1], table[1:1], table[1:8], table[8:]]), 4))
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert pd.concat(blocks)["id"].tolist() == list(range(10))
    assert list(in_blocks(iter([table[:0]]), 4)) == []


def stored(folder, cells, mean):
    """Write embeddings of records whose ids, descriptions, labels and groups are `cells`, the last without a group."""
    path, count = folder / "embeddings.h5", len(cells)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": EMBEDDINGS_FORMAT, "format_version": EMBEDDINGS_FORMAT_VERSION, "hidden_size": 2})
        file.create_dataset("ids", data=cells, dtype=h5py.string_dtype())
        file["sequence"], file["mean"], file["lengths"] = np.arange(count), mean, np.arange(count)
        file["digests"] = np.array(["0" * 64] * count, dtype="S64")
    numbered = list(enumerate(cells))
    rows = {
        "records": [("record", "id", "description", "status"), *((n, cell, cell, "accepted") for n, cell in numbered)],
        "labels": [("record", "label"), *numbered],
        "columns": [("record", "group/kind", "score"), *((n, cell, n / 4) for n, cell in numbered[:-1])],
    }
    for name, lines in rows.items():
        with (folder / f"{name}.tsv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(lines)
    return path, RecordTables(*(folder / f"{name}.tsv" for name in rows))


def test_texts_and_numbers_are_kept_as_they_are(tmp_path):
    cells = ["=1+1", "+1", "-1", "@SUM(A1)"]
    path, tables = stored(tmp_path, cells, np.zeros((4, 2), np.float32))
    export_npy(path, ["mean"], tmp_path)
    export_parquet(path, tables, ["mean"], tmp_path / "e.parquet")
    export_anndata(path, tables, ["mean"], tmp_path / "e.h5ad")
    with (tmp_path / "ids.tsv").open(newline="") as lines:
        assert [row["id"] for row in csv.DictReader(lines, delimiter="\t")] == cells
    table, observed = pd.read_parquet(tmp_path / "e.parquet"), anndata.read_h5ad(tmp_path / "e.h5ad").obs
    for column in ("description", "label"):
        assert table[column].tolist() == observed[column].tolist() == cells
    assert table["id"].tolist() == observed.index.tolist() == cells
    assert table["group/kind"].tolist() == observed["group_kind"].tolist() == [*cells[:3], ""]
    for scores in (table["score"], observed["score"]):
        assert np.array_equal(scores, [0.0, 0.25, 0.5, np.nan], equal_nan=True)


def test_a_csv_has_the_fewest_digits_that_bring_each_number_back(tmp_path):
    """A row of two numbers for each record; ids with commas, quotation marks and lines are quoted."""
    cells = ["a,b", 'say "x"', "two\nlines", "\u03b1"]
    numbers = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
    mean = np.concatenate([np.array([[0.1, 1e-30]], np.float32), numbers * np.float32(1e5)])
    path, tables = stored(tmp_path, cells, mean)
    for name, opened in (("e.csv", open), ("e.csv.gz", gzip.open)):
        export_csv(path, tables, ["mean"], tmp_path / name)
        with opened(tmp_path / name, "rt", encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        assert header == ["id", "label", "length", "group/kind", "score", "mean_1", "mean_2"]
        assert [row[:3] for row in rows] == [[cell, cell, str(length)] for length, cell in enumerate(cells)]
        assert [row[3:5] for row in rows] == [[cells[0], "0"], [cells[1], "0.25"], [cells[2], "0.5"], ["", ""]]
        assert rows[0][5:] == ["0.1", "1e-30"]
        assert np.array_equal(np.array([row[5:] for row in rows], dtype=np.float32), mean)
        assert (pd.read_csv(tmp_path / name)[["mean_1", "mean_2"]].astype(np.float32) == mean).all(axis=None)
    first = (tmp_path / "e.csv.gz").read_bytes()
    export_csv(path, tables, ["mean"], tmp_path / "e.csv.gz")
    assert (tmp_path / "e.csv.gz").read_bytes() == first
    tables.labels.write_text("record\tlabel\n")
    tables.columns.write_text("record\tmean_1\n0\tx\n")
    export_csv(path, RecordTables(tables.records, tables.labels, tables.columns), ["mean"], tmp_path / "e.csv")
    assert (tmp_path / "e.csv").read_text().startswith("id,length,mean_1 (table),mean_1,mean_2\n")
