"""Maps of datasets, as pictures and as pages."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from lucaflow.report.colours import NONE, OTHER
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import FEWEST_NEIGHBOURS, MOST_LABELS, Map, described, draw_png, principal_components, project


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


@pytest.mark.parametrize("shape", [(80, 40), (12, 40)])
def test_components_are_those_of_scikit_learn(shape):
    """With their signs, from the covariance and from the vectors themselves."""
    vectors = (np.random.default_rng(0).standard_normal(shape) * np.arange(1, 41)).astype(np.float32)
    reference = PCA(n_components=5, svd_solver="full")
    found, shares = principal_components(vectors, 5)
    assert found == pytest.approx(reference.fit_transform(vectors), abs=2e-3)
    assert shares == pytest.approx(reference.explained_variance_ratio_, rel=1e-4)


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


@pytest.mark.parametrize(("labels", "expected"), [("5\tx\n", [NONE, "x"]), ("", ["", ""]), ("3\tx\n4\tx\n", ["", ""])])
def test_what_a_map_says_of_its_points(records, labels, expected):
    path = records.with_name("labels.tsv")
    path.write_text(f"record\tlabel\n{labels}")
    found = described(records, path, np.array([0, 2]))
    assert found.to_dict("list") == {"description": ["first", "last"], "length": [5, 7], "label": expected}
