"""The small store that the tests of this folder read and damage."""

import pytest
from small_store import ATTRIBUTES, DIGESTS, FINGERPRINT, IDS, OPTIONS, RESIDUES, ROWS, batch, write_shard

from lucaflow.records.record_files import RECORD_COLUMNS
from lucaflow.store.assembly import assemble, read_accepted


@pytest.fixture
def result(tmp_path):
    """A small embeddings.h5 with two shards and its records.tsv."""
    folder = tmp_path / "shards" / FINGERPRINT[:12]
    folder.mkdir(parents=True)
    shards = [folder / "one.h5", folder / "two.h5"]
    write_shard(shards[0], DIGESTS[:2], [5, 2], batch(0, ["MKVLA"]), batch(1, ["MK"]))
    write_shard(shards[1], DIGESTS[2:], [1], batch(0, ["W"]))
    records = tmp_path / "records.tsv"
    lines = ["\t".join(RECORD_COLUMNS)]
    for number, (identifier, row) in enumerate(zip(IDS, ROWS, strict=True), start=1):
        length = len(RESIDUES[row])
        lines.append(f"{number}\t{number}\t{identifier}\t\tprot\t\t\taccepted\t\t{length}\t0\t{DIGESTS[row]}")
    lines.append("6\t6\tgone\t\tprot\t\t\tdropped\tempty\t0\t0\t")
    records.write_text("\n".join(lines) + "\n")
    accepted = read_accepted(records)
    path = tmp_path / "embeddings.h5"
    assemble(path, ATTRIBUTES, OPTIONS, accepted, shards)
    return path, accepted, shards
