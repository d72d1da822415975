"""Shards are checked by reading them, without a checksum of the whole file."""

import json
import shutil

import h5py
import numpy as np
import pytest
from small_store import CHECKPOINT, RESIDUES

from lucaflow.engine.engine import EmbeddedBatch, Piece
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.records.sharding import shard_name
from lucaflow.store.checksums import read_unchecked_rows, row_checksums
from lucaflow.store.format import ShardContent
from lucaflow.store.shards import ShardWriter
from lucaflow.store.verification import damage_of_shard, damaged_shards

DIGESTS = [digest_of("prot", text) for text in RESIDUES]
LENGTHS = np.array([len(text) for text in RESIDUES])
WIDTHS = {"matrix": lambda _: 4, "contacts": lambda length: length}


def write_shard(folder, *outputs):
    """Write a shard, with the names that the workflow gives to it and its folder; return its path."""
    options = EmbeddingOptions(outputs)
    name = shard_name(np.frombuffer(bytes.fromhex("".join(DIGESTS)), dtype=">u8").reshape(-1, 4))
    path = folder / "shards" / options.fingerprint(CHECKPOINT)[:12] / f"{name}.h5"
    path.parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pieces = [
        Piece(output, row, length, 0, rng.random((length, WIDTHS[output](length)), dtype=np.float32))
        for output in options.linked
        for row, length in enumerate(LENGTHS.tolist())
    ]
    vectors = {output: rng.random((3, 4), dtype=np.float32) for output in options.vectors}
    with ShardWriter(path, ShardContent(DIGESTS, LENGTHS.tolist(), options, CHECKPOINT, 4), "cpu") as writer:
        writer.write([EmbeddedBatch(np.arange(3), LENGTHS, np.ones_like(LENGTHS), vectors, pieces)])
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("outputs", [("mean", "max"), ("matrix",), ("contacts",), ("cls", "matrix", "contacts")])
def test_a_changed_bit_of_any_array_is_found(tmp_path, outputs):
    path = write_shard(tmp_path, *outputs)
    assert damage_of_shard(path) == ""
    places = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: places.update({name: item.id.get_offset()}) if isinstance(item, h5py.Dataset) else None
        )
    assert len(places) > 6
    for name, place in places.items():
        flip(path, place)
        assert damage_of_shard(path), name
        flip(path, place)
    assert damage_of_shard(path) == ""


def not_finite(file):
    file["mean"][1, 2] = np.nan
    file["checksums"][:] = row_checksums(read_unchecked_rows(file, np.s_[:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (not_finite, "`mean` holds values that are not finite"),
        (lambda file: file.attrs.modify("fingerprint", "0" * 64), "its fingerprint does not match"),
        (lambda file: file.attrs.modify("checkpoint_sha256", "0" * 64), "its fingerprint does not match"),
        (lambda file: file.attrs.modify("embedding_version", 1), "its fingerprint does not match"),
        (lambda file: file.attrs.modify("hidden_size", 5), "`mean` is float32 (3, 4), expected float32 (3, 5)"),
        (lambda file: file.attrs.modify("options", '{"outputs": ["mean"], "dtype": "float16"}'), "is float32"),
        (lambda file: file.attrs.modify("options", "{"), "Expecting"),
        (lambda file: file.pop("mean"), "mean"),
        (lambda file: file.attrs.create("format", b"\xff", dtype=h5py.string_dtype()), r"found \udcff"),
    ],
)
def test_damage_outside_the_values_is_found(tmp_path, change, words):
    path = write_shard(tmp_path, "mean")
    with h5py.File(path, "r+") as file:
        change(file)
    assert words in damage_of_shard(path)


def test_a_shard_under_another_name_is_found(tmp_path):
    path = write_shard(tmp_path, "mean")
    other = path.rename(path.with_stem("0" * 16))
    assert damage_of_shard(other) == "its sequences do not match its name"
    folder = shutil.move(other.parent, tmp_path / ("0" * 12))
    assert "its fingerprint does not match" in damage_of_shard(folder / other.name)


def test_the_shards_of_a_report_are_read(tmp_path):
    shard, report = write_shard(tmp_path / "shards", "mean"), tmp_path / "verified.json"
    name = str(shard.relative_to(tmp_path))
    # Other files have receipts.
    files = {"embeddings.h5": {"bytes": 1}, "../x": {"bytes": 1}, name: {"bytes": shard.stat().st_size}}
    report.write_text(json.dumps({"files": files}))
    assert damaged_shards(report) == []
    with h5py.File(shard) as file:
        place = file["mean"].id.get_offset()
    flip(shard, place)
    ((path, how),) = damaged_shards(report)
    assert path == shard and "do not match their checksum" in how
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "bytes, expected" in dict(damaged_shards(report))[shard]
    shard.unlink()
    assert damaged_shards(report) == [(shard, "missing")]
    report.write_text("{}")
    assert damaged_shards(report) == [(report, "damaged ('files')")]


@pytest.mark.parametrize("name", ["shards/../../x", "shards//etc/passwd", "shards/link/x", "shards/"])
def test_a_report_that_names_a_file_outside_of_its_shards_is_damaged(tmp_path, name):
    (tmp_path / "x").touch()
    (tmp_path / "results/shards").mkdir(parents=True)
    (tmp_path / "results/shards/link").symlink_to(tmp_path)
    report = tmp_path / "results/verified.json"
    report.write_text(json.dumps({"files": {name: {"bytes": 1}}}))
    ((path, how),) = damaged_shards(report)
    assert path == report and "is not a file inside" in how
