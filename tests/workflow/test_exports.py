"""Exports, read back by the libraries that their users use."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scanpy
import torch
from workflow_runs import ROOT, Workflow

from lucaflow import open_embeddings
from lucaflow.errors import SpaceError, StoreError
from lucaflow.exports.csv_files import export_csv
from lucaflow.exports.hdf5 import export_by_id, export_standalone
from lucaflow.exports.lucaone_files import export_lucaone
from lucaflow.exports.numpy_files import export_npy
from lucaflow.exports.tables import RecordTables, export_anndata, export_parquet
from lucaflow.store.format import EMBEDDINGS_FORMAT
from lucaflow.versions import EMBEDDINGS_FORMAT_VERSION

# One process makes the finished run that most of them read.
of_finished = pytest.mark.xdist_group("exports")
RECORDS = {"a/b%": "MKVLAW", "same": "MKVLAW", "b": "MWWWKKAA", "c": "MKV", "again": "MWWWKKAA"}


@pytest.mark.long
def test_one_file_with_all_inside_and_one_for_numpy(workflow, tmp_path):
    """Read by what their users use, away from the shards; a sequence that two records have is there once."""
    workflow.fasta("p.fasta", RECORDS)
    workflow.datasets({"dataset": "p", "path": "p.fasta", "seq_type": "prot"})
    workflow.config |= {"export": ["standalone", "npy"], "embedding": {"outputs": ["matrix", "mean", "max"]}}
    workflow.run().succeeded()
    folder = workflow.result("p", "export")
    alone = shutil.copy(folder / "standalone.h5", tmp_path / "alone.h5")
    table = pd.read_csv(folder / "ids.tsv", sep="\t")
    with open_embeddings(workflow.result("p", "embeddings.h5")) as linked, open_embeddings(alone) as whole:
        assert list(whole) == list(linked) == list(RECORDS) == table["id"].tolist()
        assert dict(whole.attrs).keys() == dict(linked.attrs).keys()
        assert set(whole.file) == set(linked.file)
        for number, identifier in enumerate(RECORDS):
            for output in ("matrix", "mean", "max"):
                assert np.array_equal(whole.read(output, identifier), linked.read(output, identifier))
            for output in ("mean", "max"):
                array = np.load(folder / f"{output}.npy", mmap_mode="r")
                assert (array.shape, array.dtype) == ((5, 128), np.float32)
                assert np.array_equal(array[number], linked.read(output, identifier))
        assert table["length"].tolist() == [len(sequence) for sequence in RECORDS.values()]
        assert whole.file["matrix/same"] == whole.file["matrix/a%2Fb%25"] != whole.file["matrix/b"]
    workflow.run("verify").succeeded()
    (folder / "max.npy").unlink()
    assert set(workflow.run().succeeded().jobs) <= {"export_npy", "summarise"}
    assert (folder / "max.npy").exists()
    workflow.config |= {"export": ["by_id", "npy"], "embedding": {"outputs": ["max"]}}
    workflow.run().succeeded()
    assert {path.name for path in folder.glob("*.npy")} == {"max.npy"}
    with h5py.File(folder / "by_id.h5") as file:
        assert set(file) == {"a%2Fb%25", "same", "b", "c", "again"}
        assert np.array_equal(file["c"][:], np.load(folder / "max.npy")[3])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shared_checkpoints):
    """A finished run with tables; records were dropped, two have one sequence, and ids have awkward characters."""
    workflow = Workflow(tmp_path_factory.mktemp("exports"), shared_checkpoints)
    workflow.write(
        "g.csv",
        'id,sequence,kind\n1,ACGT,"a, ""b"""\n001,,y\nNA,ACGT,\nα,GGGAAAC,ß\n2,ACGT,\n2,ACGT,z\na/b%,TTT,\n',
    )
    workflow.datasets(
        {"dataset": "g", "path": "g.csv", "seq_type": "gene", "seq_column": "sequence", "label_column": "kind"}
    )
    workflow.config |= {
        "export": ["parquet", "anndata", "csv"],
        "embedding": {"outputs": ["max", "mean", "matrix"], "dtype": "float16"},
        "input": {"empty_sequences": "drop", "duplicate_ids": "first"},
    }
    workflow.run().succeeded()
    return workflow


@of_finished
@pytest.mark.parametrize("output", ["mean", "matrix"])
def test_an_array_for_each_id(finished, tmp_path, output):
    embeddings = finished.result("g", "embeddings.h5")
    export_by_id(embeddings, output, tmp_path / "by_id.h5")
    with h5py.File(tmp_path / "by_id.h5") as file, open_embeddings(embeddings) as expected:
        assert set(file) == {"1", "NA", "α", "2", "a%2Fb%25"}
        for identifier in expected:
            found = file[identifier.replace("%", "%25").replace("/", "%2F")]
            assert found.dtype == "float16"
            assert np.array_equal(found[:], expected.read(output, identifier))


@of_finished
def test_an_export_that_finds_no_room(finished, tmp_path, monkeypatch):
    embeddings = finished.result("g", "embeddings.h5")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 * 128 * 2 - 1))
    for export, name, outputs in ((export_standalone, "standalone", ["mean"]), (export_by_id, "by_id", "mean")):
        with pytest.raises(SpaceError, match=rf"{name}.h5 needs .* bytes, .* take `{name}` out of `export`"):
            export(embeddings, outputs, tmp_path / f"{name}.h5")
        assert not (tmp_path / f"{name}.h5").exists()


@of_finished
@pytest.mark.parametrize("save_type", ["numpy", "tensor"])
def test_the_files_of_lucaoneapp_are_float32(finished, tmp_path, save_type):
    """As LucaOneApp's are, also where embeddings are stored with fewer digits."""
    results = finished.result("g", "embeddings.h5")
    copied = shutil.copy(results, tmp_path / "embeddings.h5")
    (tmp_path / "shards").symlink_to(results.with_name("shards"))
    with h5py.File(copied, "r+") as file:
        file.attrs["options"] = json.dumps({"outputs": ["mean", "matrix"]})
        expected = {"vector": file["mean"][2], "matrix": file["matrix/a%2Fb%25"][:]}
    assert export_lucaone(copied, results.parents[1] / "records.tsv", save_type, tmp_path / "lucaone") == 2 * 5
    for kind, values in expected.items():
        found = torch.load(tmp_path / f"lucaone/{kind}_a_b%.pt", weights_only=save_type == "tensor")
        assert str(found.dtype).endswith("float32")
        assert np.array_equal(np.asarray(found), values.astype(np.float32))


def stored(path, count, width):
    """Records in any order, of which every other one has a sequence of an earlier one."""
    rows = np.minimum(np.arange(count), np.random.default_rng(0).integers(0, count // 2, count))
    values = np.random.default_rng(1).standard_normal((count // 2, width), dtype=np.float32)
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"format": EMBEDDINGS_FORMAT, "format_version": EMBEDDINGS_FORMAT_VERSION, "hidden_size": width}
        )
        file.create_dataset("ids", data=[f"r{i}" for i in range(count)], dtype=h5py.string_dtype())
        file["sequence"], file["mean"] = rows, values
        file["lengths"] = np.arange(count // 2)
        file["digests"] = np.array([f"{i:064d}" for i in range(count // 2)], dtype="S64")
    return path


@pytest.mark.long
def test_exports_take_little_memory(tmp_path):
    count, width = 20_000, 512
    path = stored(tmp_path / "embeddings.h5", count, width)
    records, labels = tmp_path / "records.tsv", tmp_path / "labels.tsv"
    lines = "".join(f"{i}\tr{i}\tof {i}\taccepted\n" for i in range(count))
    records.write_text(f"record\tid\tdescription\tstatus\n{lines}")
    labels.write_text("record\tlabel\n" + "".join(f"{i}\tl{i}\n" for i in range(0, count, 3)))
    with h5py.File(path) as file:
        expected = file["mean"][:][file["sequence"][:]]
    (tmp_path / "columns.tsv").write_text("record\n")
    tables = RecordTables(records, labels, tmp_path / "columns.tsv")
    tracemalloc.start()
    export_npy(path, ["mean"], tmp_path)
    export_anndata(path, tables, ["mean"], tmp_path / "embeddings.h5ad")
    export_parquet(path, tables, ["mean"], tmp_path / "embeddings.parquet")
    export_csv(path, tables, ["mean"], tmp_path / "embeddings.csv")
    assert tracemalloc.get_traced_memory()[1] < expected.nbytes / 2
    tracemalloc.stop()
    assert np.array_equal(np.load(tmp_path / "mean.npy"), expected)
    assert np.array_equal(anndata.read_h5ad(tmp_path / "embeddings.h5ad").X, expected)
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    assert np.array_equal(np.stack(table["mean"]), expected)
    assert table["description"].tolist() == [f"of {i}" for i in range(count)]
    assert table["label"].tolist() == [f"l{i}" * (i % 3 == 0) for i in range(count)]


@of_finished
def test_tables_for_pandas_and_scanpy(finished):
    """A row for each accepted record, also where others were dropped; `"` and tabs are what they were."""
    folder = finished.result("g", "export")
    table, observed = pd.read_parquet(folder / "embeddings.parquet"), anndata.read_h5ad(folder / "embeddings.h5ad")
    with open_embeddings(finished.result("g", "embeddings.h5")) as embeddings:
        assert table["id"].tolist() == observed.obs_names.tolist() == list(embeddings) == ["1", "NA", "α", "2", "a/b%"]
        for output, vectors in (("mean", observed.X), ("max", observed.obsm["max"])):
            expected = embeddings.to_frame(output).to_numpy()
            assert vectors.dtype == np.stack(table[output]).dtype == np.float32
            assert np.array_equal(vectors, expected) and np.array_equal(np.stack(table[output]), expected)
        fingerprint = embeddings.attrs["fingerprint"]
    for found in (table, observed.obs):
        assert found["label"].tolist() == ['a, "b"', "", "ß", "", ""]
        assert found["length"].tolist() == [4, 4, 7, 4, 3]
        assert found["digest"].nunique() == 3
    about = json.loads(pq.read_schema(folder / "embeddings.parquet").metadata[b"lucaflow"])
    assert about["fingerprint"] == observed.uns["fingerprint"] == fingerprint
    assert observed.n_vars == 128
    sheet = pd.read_csv(folder / "embeddings.csv", dtype={"id": str}, keep_default_na=False)
    assert sheet.columns[:4].tolist() == ["id", "label", "length", "mean_1"] and sheet.shape == (5, 3 + 2 * 128)
    assert sheet[["id", "label", "length"]].equals(table[["id", "label", "length"]].astype(sheet.dtypes[:3]))
    assert np.array_equal(sheet.filter(like="mean_").to_numpy(np.float32), observed.X)
    assert not finished.run().succeeded().jobs


@pytest.mark.long
def test_scanpy_finds_neighbours(workflow):
    shutil.copy(ROOT / "resources/demo/mirna_hairpins.csv", workflow.directory / "r.csv")
    workflow.datasets(
        {"dataset": "r", "path": "r.csv", "seq_type": "gene", "seq_column": "sequence", "label_column": "label"}
    )
    workflow.config["export"] = ["anndata"]
    workflow.run().succeeded()
    embeddings = scanpy.read_h5ad(workflow.result("r", "export/embeddings.h5ad"))
    scanpy.pp.neighbors(embeddings, use_rep="X")
    scanpy.tl.umap(embeddings)
    assert np.isfinite(embeddings.obsm["X_umap"]).all()
    scanpy.pl.umap(embeddings, color="label", show=False)


def test_a_table_of_other_records_is_refused(tmp_path):
    embeddings = stored(tmp_path / "embeddings.h5", 5, 8)
    tables = without_labels(tmp_path)
    columns = "record\tid\tdescription\tstatus\n"
    orders = (
        ((0, 1, 3, 2, 4), "do not hold the same records"),
        (range(4), "has 4 records"),
        (range(6), "do not hold the same"),
    )
    for order, said in orders:
        (tmp_path / "records.tsv").write_text(columns + "".join(f"{i}\tr{i}\t\taccepted\n" for i in order))
        for export in (export_parquet, export_anndata):
            with pytest.raises(StoreError, match=said):
                export(embeddings, tables, ["mean"], tmp_path / "export")
            assert not (tmp_path / "export").exists()


def without_labels(folder):
    """Return the tables of records that have neither labels nor further columns; that of the records is not there."""
    paths = [folder / f"{name}.tsv" for name in ("records", "labels", "columns")]
    paths[1].write_text("record\tlabel\n")
    paths[2].write_text("record\n")
    return RecordTables(*paths)


def test_a_description_with_a_nul(tmp_path):
    embeddings = stored(tmp_path / "embeddings.h5", 2, 8)
    tables = without_labels(tmp_path)
    rows = "1\tr0\ta\0b\taccepted\n2\tr1\t\taccepted\n"
    (tmp_path / "records.tsv").write_text(f"record\tid\tdescription\tstatus\n{rows}")
    for export, name in ((export_parquet, "e.parquet"), (export_anndata, "e.h5ad")):
        export(embeddings, tables, ["mean"], tmp_path / name)
    assert pd.read_parquet(tmp_path / "e.parquet")["description"][0] == "a\0b"
    assert anndata.read_h5ad(tmp_path / "e.h5ad").obs["description"].iloc[0] == "ab"
