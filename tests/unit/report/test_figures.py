"""Figures of a dataset: which rows are shown, and the histogram of lengths."""

import numpy as np
import pytest

from lucaflow.report.figures import bounds_of, draw_lengths, sample_rows


def test_large_datasets_are_sampled_evenly():
    assert sample_rows(3, 10).tolist() == [0, 1, 2]
    rows = sample_rows(1_000_000, 1000)
    assert (len(rows), rows[0], rows[-1]) == (1000, 0, 999_999)
    assert len(set(rows.tolist())) == 1000


@pytest.mark.parametrize("lengths", [range(7, 8), range(5, 20), range(30, 400), range(1, 5000), [3, 900_000]])
def test_bars_of_lengths_lie_between_whole_numbers(tmp_path, lengths):
    bounds = bounds_of(list(lengths))
    counts, _ = np.histogram(list(lengths), bounds)
    assert counts.sum() == len(lengths)
    assert (bounds % 1 == 0.5).all()
    assert len(bounds) <= 43
    if len(lengths) > 2:
        # One sequence of each length: the bars are as high as they are wide, but for the last one.
        assert (counts[:-1] == np.diff(bounds)[:-1]).all()
    draw_lengths(dict.fromkeys(lengths, 2), "d", tmp_path / "lengths.png")
    assert (tmp_path / "lengths.png").stat().st_size > 5_000
    assert f"{2 * len(lengths):,} distinct sequences" in (tmp_path / "lengths.svg").read_text()
