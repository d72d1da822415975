"""What embedding a dataset will take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lucaflow.embedding.estimate import (
    assumed_speed,
    check_space,
    estimate,
    human_seconds,
    measured_rate,
)
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.errors import SpaceError
from lucaflow.files.space import human_bytes
from lucaflow.records.counts import Counts

COUNTS = Counts(Counter(accepted=5, dropped=1), 0, 0, {100: 2, 1000: 1})
CHECKPOINT = {"parameters": 10**6, "encoder": {"hidden_size": 64, "num_hidden_layers": 2}}


def expected(measured=None, **changed):
    return estimate(COUNTS, EmbeddingOptions(**changed), CHECKPOINT, (1e9, "an abacus"), measured)


def test_counts():
    found = expected()
    assert (found.records, found.distinct_sequences, found.residues, found.longest) == (5, 3, 1200, 1000)
    assert (found.residues_embedded, found.windows) == (1200, 3)
    cut = expected(embedding_complete=False, truncation_seq_length=150)
    assert (cut.residues_embedded, cut.windows) == (350, 3)
    windowed = expected(embedding_fixed_len_a_time=200, embedding_complete_seg_overlap=False)
    assert (windowed.residues_embedded, windowed.windows) == (1200, 7)


def test_bytes():
    """Values exactly, and a little for what holds them."""
    vectors = expected(outputs=("mean", "cls"), dtype="float16").bytes
    assert vectors["mean"] == vectors["cls"] == 2 * 3 * 64 * 2
    matrix = expected(outputs=("matrix",), matrix_add_special_token=True).bytes["matrix"]
    assert 0 <= matrix - (1200 + 2 * 3) * 64 * 4 < 3 * 5000 + 5 * 1000
    contacts = expected(outputs=("contacts",)).bytes["contacts"]
    assert 0 <= contacts - (1000**2 + 2 * 100**2) * 4 < 3 * 5000 + 5 * 1000
    assert expected().total_bytes == sum(expected().bytes.values())
    files = estimate(COUNTS, EmbeddingOptions(dtype="float16"), CHECKPOINT, (1e9, ""), exports=["lucaone"]).bytes[
        "export lucaone"
    ]
    assert 0 <= files - 5 * 64 * 4 < 5 * 5000


def test_time():
    """The operations of the network, at an assumed speed, or the rate that was measured."""
    products = 2 * 10**6 * (1200 + 6)
    attention = 4 * 64 * 2 * (1002**2 + 2 * 102**2)
    assert expected().seconds == pytest.approx((products + attention) / 1e9)
    assert "a rough guess for an abacus" in expected().describe()


def test_the_disk_bounds_the_rate_of_matrices_on_a_fast_gpu():
    """0.8 GB/s of 256 bytes a residue are some 3 million residues/s, of which float16 takes half the bytes."""

    def on_a_gpu(**changed):
        return estimate(COUNTS, EmbeddingOptions(**changed), CHECKPOINT, (1e15, "a GPU"))

    assert "a rough guess for a GPU" in on_a_gpu().describe()
    matrices, half = on_a_gpu(outputs=("mean", "matrix")), on_a_gpu(outputs=("mean", "matrix"), dtype="float16")
    assert 2.5e6 < matrices.residues_per_second < 0.8e9 / 256 < half.residues_per_second < 0.8e9 / 128
    assert "(the disk bounds it, at 800 MB/s, with a GPU)" in matrices.describe()
    assert expected(outputs=("matrix",)).rate_source == "a rough guess for an abacus"
    assert expected(measured=600.0).seconds == pytest.approx(2.0)
    assert "as in the last run" in expected(measured=600.0).describe()
    eight, words = assumed_speed("cpu", "float32", 8)
    assert eight == 8 * assumed_speed("cpu", "bfloat16", 1)[0]
    assert words == "8 CPU cores"
    fast, words = assumed_speed("auto", "float32", 8)
    assert fast > eight
    assert words == "a GPU; without one it takes far longer"


def test_the_rate_of_the_last_run(tmp_path):
    table = tmp_path / "summary.tsv"
    assert measured_rate(table, "mini-1") is None
    table.write_text(
        "model\tresidues\tseconds\tresidues_per_second\nmini-1\t10\t70\t5\nmini-1\t1000\t60\t700\n"
        "x-1\t9999\t80\t1\nmini-1\t5000\t\t\n\t5\t\t\nmini-1\t99999\t59\t3\nmini-1\t99999\t90\t\n"
    )
    assert measured_rate(table, "mini-1") == 700
    assert measured_rate(table, "lucaone-1") is None


def test_a_disk_that_is_too_small():
    found = expected(outputs=("matrix",))
    check_space(found.bytes, 0, found.total_bytes, Path("results"))
    check_space(found.bytes, found.total_bytes - 5, 5, Path("results"))
    with pytest.raises(
        SpaceError, match=r"need 3\d\d kB more \(matrix 3\d\d kB, .*\), but the disk of results has 1 kB"
    ):
        check_space(found.bytes, 0, 1000, Path("results"))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1234, "1.23 kB"), (5.1e9, "5.1 GB"), (2.5e15, "2,500.0 TB")]
)
def test_sizes_to_read(size, text):
    assert human_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "1 s"), (100, "100 s"), (600, "10 minutes"), (9000, "2 hours"), (1e6, "12 days")]
)
def test_times_to_read(seconds, text):
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"dataset\n",
        b"dataset\np\n",
        b"model\tresidues\tresidues_per_second\tseconds\nm\t1\tx\t70\n",
        b"model\tresidues\tresidues_per_second\tseconds\nm\t1\tnan\t70\n",
        b"model\tresidues\nm\t1\n",
        b"\xff\0",
    ],
)
def test_a_damaged_summary_gives_no_rate(tmp_path, caplog, content):
    table = tmp_path / "summary.tsv"
    table.write_bytes(content)
    assert measured_rate(table, "m") is None
    assert bool("summary.tsv is damaged" in caplog.text) == (content != b"dataset\n")
