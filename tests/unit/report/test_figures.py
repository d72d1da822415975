import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lucaflow.report.colours import OTHER
from lucaflow.report.figures import bounds_of, draw_lengths, sample_rows
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import FEWEST_NEIGHBOURS, MOST_LABELS, Map, draw_png, principal_components, project
from lucaflow.report.summary import as_text, computed_beside, cost_of_embedding, rate_of_embedding


def drawing(labels, title="a map"):
    count = len(labels)
    points = pd.DataFrame(
        {
            "id": [f"<script>alert({i})</script>" for i in range(count)],
            "description": [""] * count,
            "label": labels,
            "length": range(1, count + 1),
            "x": np.arange(count, dtype=float),
            "y": np.arange(count, dtype=float) % 3,
        }
    )
    return Map(points, title, ("x", "y"))


@pytest.mark.parametrize(
    "labels",
    [
        [""] * 5,
        ["x"],
        ["$a^$", "$b", "_hidden", "", "\u03b1", "</script>"],
        [f"l{i}" for i in range(MOST_LABELS)] + [OTHER],
    ],
    ids=["without labels", "one point", "awkward labels", "many labels"],
)
def test_maps_are_drawn(tmp_path, labels):
    draw_png(drawing(labels), tmp_path / "map.png")
    draw_html(drawing(labels), tmp_path / "map.html")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.size[0] > 800
        assert len(np.unique(np.asarray(picture.convert("L")))) > 5
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == page.count("<script")


@pytest.mark.parametrize("shape", [(1, 4), (2, 4), (5, 1), (50, 8), (8, 50)])
def test_components(shape):
    vectors = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    coordinates, shares = principal_components(vectors)
    assert coordinates.shape == (shape[0], 2)
    assert np.isfinite(coordinates).all()
    assert 0 <= shares[1] <= shares[0] <= 1.0001


@pytest.mark.parametrize("offset", [0, 1e5])
def test_components_of_many_are_those_of_few(offset):
    """From the covariance, as from the vectors themselves, up to their signs; far from zero as well."""
    spread = np.random.default_rng(0).standard_normal((80, 40)) * np.arange(1, 41)
    vectors = (spread + offset).astype(np.float32)
    many, shares = principal_components(vectors)
    centred = vectors - vectors.mean(0, dtype=np.float64)
    singular, axes = np.linalg.svd(centred, full_matrices=False)[1:]
    assert shares == pytest.approx(singular[:2] ** 2 / (singular**2).sum(), rel=1e-3)
    assert np.abs(many) == pytest.approx(np.abs(centred @ axes[:2].T), abs=0.2)


@pytest.mark.parametrize("count", [1, FEWEST_NEIGHBOURS - 1, FEWEST_NEIGHBOURS, 60])
def test_neighbours_stay_together(count):
    """Three groups far apart; the same points twice; fewer points than it takes are shown by components."""
    draw = np.random.default_rng(0)
    group = np.arange(count) % 3
    vectors = (draw.standard_normal((count, 16)) + 30 * group[:, None]).astype(np.float32)
    found, axes = project(vectors, "tsne")
    assert found.shape == (count, 2) and np.isfinite(found).all()
    assert np.array_equal(found, project(vectors, "tsne")[0])
    assert ("too few for t-SNE" in axes[0]) == (count < FEWEST_NEIGHBOURS)
    if count == 60:
        distances = ((found[:, None] - found[None]) ** 2).sum(2)
        assert (group[np.argsort(distances)[:, 1]] == group).all()


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


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["12.34\t100.4", "1\t250.6"], (13.3, 251)),
        (["12.34\tNA", "1\t250.6"], (13.3, 251)),
        (["12.34\tNA", "1\t-"], (13.3, None)),
        (["12.34\t100.4"], (None, None)),
    ],
)
def test_what_embedding_cost(tmp_path, rows, found):
    """Of two shards; where memory, or one of them, was not measured, that is said and nothing else is lost."""
    jobs = [Path("embed/p/mini-1/f", name) for name in ("0.h", "1.h")]
    (tmp_path / "benchmarks" / jobs[0].parent).mkdir(parents=True)
    for job, row in zip(jobs, rows, strict=False):
        (tmp_path / "benchmarks" / f"{job}.tsv").write_text(f"s\tmax_rss\n{row}\n")
    assert cost_of_embedding(tmp_path, jobs) == found


def test_the_rate_is_that_of_what_was_computed(tmp_path):
    """Not of a job that had everything, nor of one whose measure was lost."""
    jobs = [Path("embed/p/mini-1/f", name) for name in ("0.h", "1.h", "2.h")]
    assert rate_of_embedding(tmp_path, jobs) is None
    (tmp_path / "logs" / jobs[0].parent).mkdir(parents=True)
    for job, computed, rate in zip(jobs, ((0, 0.0), (90, 4.5)), (None, 20), strict=False):
        text = json.dumps(dict(zip(("residues", "seconds"), computed, strict=True)))
        computed_beside(tmp_path / "logs" / f"{job}.log").write_text(text)
        assert rate_of_embedding(tmp_path, jobs) == rate


def test_the_table_of_a_run(tmp_path):
    header = "dataset\tmodel\trecords\tdistinct_sequences\tresidues\tseconds\tembeddings\tpredictions\n"
    table = tmp_path / "summary.tsv"
    table.write_text(f"{header}p\tmini-1\t10\t9\t1234567\t\tresults/p/mini-1/embeddings.h5\t10 of A\n")
    text = as_text(table)
    assert "not for science" in text
    assert "results/p/mini-1/" in text
    assert "1234567" in text
    assert "Predictions are in:\n  results/p/predictions/: 10 of A\n" in text
    table.write_text(f"{header}p\tlucaone-36000000\t10\t9\t12\t3.5\tresults/p/l/embeddings.h5\t\n")
    assert "not for science" not in as_text(table)
    assert "Predictions" not in as_text(table)
