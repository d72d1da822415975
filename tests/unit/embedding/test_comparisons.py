"""Comparing precisions, and ways to divide a long sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lucaflow.embedding.comparisons import (
    CENTERED,
    MOST_RESIDUES,
    NO_OVERLAP,
    NO_OVERLAP_SAME_COST,
    OVERLAP,
    STORED,
    ComparisonSetup,
    choose_sample,
    compare_precisions,
    compare_stitchings,
    compared_divisions,
    cosines,
    first_ids,
    read_sample,
    relative_distances,
    summarise_costs,
)
from lucaflow.engine.options import EmbeddingOptions
from lucaflow.records.outcomes import digest_of
from lucaflow.records.record_files import RECORD_COLUMNS
from lucaflow.records.sequences import NormalisedSequence, index_sequences
from lucaflow.report.comparisons import draw_precisions, draw_stitchings, draw_windows

OPTIONS = EmbeddingOptions(("mean",))


@pytest.fixture
def setup(golden_checkpoints):
    return ComparisonSetup(golden_checkpoints["T1"].folder, torch.device("cpu"), 200)


def sequences(*residues):
    return [NormalisedSequence(digest_of("prot", text), "prot", text) for text in residues]


@given(st.lists(st.integers(1, 3 * MOST_RESIDUES), max_size=100), st.integers(1, 1000))
def test_a_sample_is_spread_over_the_lengths(lengths, shortest):
    lengths = np.array(lengths, dtype=np.int64)
    chosen = lengths[choose_sample(lengths, shortest)].tolist()
    fit = sorted(length for length in lengths.tolist() if length >= shortest)
    assert chosen == sorted(chosen, reverse=True)
    fit = [length for length in fit if length <= MOST_RESIDUES]
    assert bool(chosen) == bool(fit)
    assert not fit or chosen[-1] == fit[0]
    assert sum(chosen) <= MOST_RESIDUES
    if len(fit) <= 32 and sum(fit) <= MOST_RESIDUES:
        assert chosen == fit[::-1]
    if len(fit) > 1 and fit[0] + fit[-1] <= MOST_RESIDUES:
        assert chosen[0] == fit[-1]


def test_a_sample_of_long_sequences_is_smaller_not_shorter():
    lengths = np.arange(1600, 4000)
    chosen = lengths[choose_sample(lengths)]
    assert len(chosen) > 15
    assert (chosen[0], chosen[-1]) == (3999, 1600)
    assert np.diff(chosen[::-1]).max() < 250


def test_the_sample_is_read_from_its_file(tmp_path):
    some = sequences("MKVLAW", "MK", "MWWWK")
    path, records = tmp_path / "distinct.fasta", tmp_path / "records.tsv"
    path.write_text("".join(f">{s.digest} prot\n{s.residues}\n" for s in some))
    rows = [dict.fromkeys(RECORD_COLUMNS, "") | {"id": f"p{i}", "status": "accepted"} for i in range(4)]
    for row, sequence in zip(rows, [*some, some[0]], strict=True):
        row["digest"] = sequence.digest
    rows[1]["status"] = "dropped"
    records.write_text("\n".join("\t".join(row) for row in [RECORD_COLUMNS, *(r.values() for r in rows)]) + "\n")
    index = index_sequences(path)
    found = read_sample(path, index, choose_sample(index.lengths))
    assert found == [some[0], some[2], some[1]]
    assert first_ids(records, [s.digest for s in some[:2]]) == {some[0].digest: "p0"}


def test_distances_and_cosines():
    reference = np.array([[3.0, 4.0], [0.0, 2.0]], dtype=np.float32)
    found = np.array([[3.0, 4.5], [2.0, 0.0]], dtype=np.float32)
    np.testing.assert_allclose(relative_distances(found, reference), [0.1, 2**0.5])
    np.testing.assert_allclose(cosines(found, reference), [27 / 5 / 29.25**0.5, 0])


def test_precisions_are_compared_with_float32(setup, tmp_path):
    table = compare_precisions(setup, OPTIONS, sequences("MKVLAWRRKLAWQE" * 9, "MKVLA", "W"))
    assert table["precision"].tolist() == [STORED] * 3 + ["bfloat16"] * 3
    assert table["length"].tolist() == [126, 5, 1] * 2
    rounded, rough = (table[table["precision"] == name] for name in (STORED, "bfloat16"))
    assert ((rounded["matrix_relative_error"] > 0) & (rounded["matrix_relative_error"] < 2**-11)).all()
    assert ((rough["matrix_relative_error"] > 1e-4) & (rough["matrix_relative_error"] < 0.05)).all()
    assert (rough["lowest_row_cosine"] > 0.99).all()
    assert (rough["mean_relative_error"] < 0.05).all()
    assert torch.get_float32_matmul_precision() == "highest"
    draw_precisions(table, "d", "by $mini$", tmp_path / "p.png")
    draw_precisions(compare_precisions(setup, OPTIONS, []), "d", "nothing to compare", tmp_path / "none.png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] > 1000


@given(st.integers(3, 60), st.integers(2, 12))
def test_the_divisions_cover_the_sequence_at_stated_costs(size, times):
    length = size * times + 1
    overlap, plain, longer, centered = compared_divisions(length, size)
    for division in (overlap, plain, longer, centered):
        assert [row for w in division.windows for row in range(w.kept_start, w.kept_stop)] == list(range(length))
    assert plain.pairs <= longer.pairs
    assert abs(longer.pairs - centered.pairs) <= abs(plain.pairs - centered.pairs)
    assert max(window.length for division in (overlap, plain, centered) for window in division.windows) <= size


def test_divisions_are_compared_with_one_pass(setup, tmp_path):
    options = EmbeddingOptions(**{**OPTIONS.__dict__, "embedding_fixed_len_a_time": 20})
    rows = compare_stitchings(setup, options, sequences("MKVLAWRRKLAWQE" * 9, "MKVLAWRRKQ" * 5))
    assert rows["division"].unique().tolist() == [OVERLAP, NO_OVERLAP, NO_OVERLAP_SAME_COST, CENTERED]
    assert len(rows) == 4 * (126 + 50)
    table = summarise_costs(rows).set_index("division")
    assert (table["distance_mean"] > 1e-4).all()
    assert table.loc[NO_OVERLAP, "tokens_relative"] == pytest.approx((7 * 22 + 3 * 22) / (128 + 52))
    assert (table["pairs_relative"] < 1).all()
    draw_stitchings(rows, "d", "by mini", tmp_path / "s.png")
    draw_windows(100, 20, tmp_path / "w.png")
    assert "windows compared with one pass" in (tmp_path / "s.svg").read_text()
    for name in ("s.png", "w.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size[0] > 1000
