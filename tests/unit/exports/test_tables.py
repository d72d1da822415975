import csv

import anndata
import h5py
import numpy as np
import pandas as pd

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


def test_texts_and_numbers_are_kept_as_they_are(tmp_path):
    cells = ["=1+1", "+1", "-1", "@SUM(A1)"]
    path = tmp_path / "embeddings.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": EMBEDDINGS_FORMAT, "format_version": EMBEDDINGS_FORMAT_VERSION, "hidden_size": 2})
        file.create_dataset("ids", data=cells, dtype=h5py.string_dtype())
        file["sequence"], file["mean"], file["lengths"] = np.arange(4), np.zeros((4, 2), np.float32), np.arange(4)
        file["digests"] = np.array(["0" * 64] * 4, dtype="S64")
    records, labels, columns = (tmp_path / f"{name}.tsv" for name in ("records", "labels", "columns"))
    rows = "".join(f"{number}\t{cell}\t{cell}\taccepted\n" for number, cell in enumerate(cells))
    records.write_text(f"record\tid\tdescription\tstatus\n{rows}")
    labels.write_text("record\tlabel\n" + "".join(f"{number}\t{cell}\n" for number, cell in enumerate(cells)))
    with columns.open("w", newline="") as lines:
        scores = [(number, cell, number / 4) for number, cell in enumerate(cells[:3])]
        csv.writer(lines, delimiter="\t").writerows([("record", "group/kind", "score"), *scores])
    tables = RecordTables(records, labels, columns)
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
