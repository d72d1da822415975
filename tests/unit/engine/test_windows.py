import pytest

from lucaflow.engine.windows import Windowing

LENGTHS = range(1, 260)
SIZES = range(1, 90)
WAYS = [
    {"embedding_complete_seg_overlap": overlap, "trunc_type": side}
    for overlap in (True, False)
    for side in ("right", "left")
] + [{"stitching": "centered"}, {"stitching": "separate"}]


def windowings(way):
    for size in SIZES:
        try:
            yield size, Windowing(embedding_fixed_len_a_time=size, **way)
        except ValueError:
            assert size < 3


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_residue_has_one_row_and_no_window_is_too_long(way):
    for size, windowing in windowings(way):
        for length in LENGTHS:
            windows = windowing.windows(length)
            edges = [0]
            for window in windows:
                assert 0 <= window.start <= window.kept_start < window.kept_stop <= window.stop <= length
                assert window.length <= size
                assert window.kept_start == edges[-1]
                edges.append(window.kept_stop)
            assert edges[-1] == length
            assert sum(window.gives_cls for window in windows) == sum(window.gives_sep for window in windows) == 1


def test_centered_windows_keep_context_on_both_sides():
    for size, windowing in windowings({"stitching": "centered"}):
        for length in LENGTHS:
            windows = windowing.windows(length)
            if length > size:
                assert all(window.length == size for window in windows)
                assert (windows[0].start, windows[-1].stop) == (0, length)
                assert (windows[0].gives_cls, windows[-1].gives_sep) == (True, True)
            for window in windows:
                left, right = window.kept_start - window.start, window.stop - window.kept_stop
                assert 4 * left >= size or window.start == 0
                assert 4 * right >= size or window.stop == length


def test_separate_windows_are_few_equal_and_do_not_overlap():
    for size, windowing in windowings({"stitching": "separate"}):
        for length in LENGTHS:
            windows = windowing.windows(length)
            assert all((window.start, window.stop) == (window.kept_start, window.kept_stop) for window in windows)
            assert len(windows) == -(-length // size)
            assert max(window.length for window in windows) - min(window.length for window in windows) <= 1
            assert (windows[0].gives_cls, windows[-1].gives_sep) == (True, True)


def test_centered_takes_each_row_from_where_it_lies_deepest():
    for size, length in [(8, 61), (20, 100), (21, 64), (33, 34), (40, 199)]:
        windows = Windowing(embedding_fixed_len_a_time=size, stitching="centered").windows(length)

        def depth(window, residue, length=length):
            left = residue - window.start if window.start else length
            right = window.stop - 1 - residue if window.stop < length else length
            return min(left, right)

        for window in windows:
            for residue in range(window.kept_start, window.kept_stop):
                deepest = max(depth(w, residue) for w in windows if w.start <= residue < w.stop)
                assert depth(window, residue) == deepest


def test_centered_costs_no_more_windows_than_overlap():
    for size in (20, 64, 100):
        for length in range(size + 1, 2000, 37):
            centered = Windowing(embedding_fixed_len_a_time=size, stitching="centered").windows(length)
            lucaone = Windowing(embedding_fixed_len_a_time=size).windows(length)
            assert len(centered) <= len(lucaone)


@pytest.mark.parametrize(
    ("length", "sizes"),
    [
        (21, [20, 10]),
        (30, [20, 14, 14]),
        (40, [20, 19, 19]),
        (41, [20, 20, 20]),
    ],
)
def test_lucaone_shortens_windows_where_two_would_do(length, sizes):
    windowing = Windowing(embedding_fixed_len_a_time=20, embedding_complete_seg_overlap=False)
    assert [window.length for window in windowing.windows(length)] == sizes


@pytest.mark.parametrize("options", [{}, {"trunc_type": "left"}, {"embedding_fixed_len_a_time": 50}])
def test_what_fits_goes_in_one_pass(options):
    (window,) = Windowing(**options).windows(50)
    assert (window.start, window.stop, window.kept, window.gives_cls, window.gives_sep) == (0, 50, 50, True, True)


@pytest.mark.parametrize(
    ("length", "side", "expected"),
    [(5, "right", (0, 5)), (9, "right", (0, 6)), (9, "left", (3, 9)), (6, "left", (0, 6))],
)
def test_truncation(length, side, expected):
    for options in ({"truncation_seq_length": 6}, {"truncation_seq_length": 3, "embedding_fixed_len_a_time": 6}):
        (window,) = Windowing(embedding_complete=False, trunc_type=side, **options).windows(length)
        assert (window.start, window.stop) == (window.kept_start, window.kept_stop) == expected


@pytest.mark.parametrize(
    ("size", "way"), [(1, {}), (2, {"stitching": "centered"}), (1, {"stitching": "centered"})], ids=str
)
def test_windows_that_are_too_short_are_refused(size, way):
    with pytest.raises(ValueError, match="expected at least"):
        Windowing(embedding_fixed_len_a_time=size, **way)
