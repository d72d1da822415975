"""Maps of datasets, as pictures and as pages."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA
from small_store import ATTRIBUTES, DIGESTS, IDS, OPTIONS, RESIDUES, ROWS, batch, write_shard

from lucaflow.report.columns import MOST_LABELS
from lucaflow.report.map_page import draw_html
from lucaflow.report.maps import (
    MOST_DRAWN_POINTS,
    Map,
    described,
    draw_picture,
    make_map,
)
from lucaflow.report.projections import FEWEST_NEIGHBOURS, OF_NEIGHBOURS, principal_components, project
from lucaflow.store.assembly import assemble, read_accepted


def drawing(labels, columns=()):
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
    further = pd.DataFrame({name: [f"<script>alert({name})</script>"] * count for name in columns})
    return Map(points, "a $map$", "of <b>points</b>", ("x", "y"), further)


@pytest.mark.parametrize(
    "labels",
    [
        [""] * 5,
        ["x"],
        ["$a^$", "$b", "_hidden", "", "\u03b1", "</script>"],
        [f"l{i}" for i in range(MOST_LABELS + 2)],
        [f"{i / 7:.3f}" for i in range(15)] + [""],
        ["5", "5"],
    ],
    ids=["without labels", "one point", "awkward labels", "many labels", "numbers", "one number"],
)
def test_maps_are_drawn(tmp_path, labels):
    draw_picture(drawing(labels, ["$$x$$", "</script>"]), tmp_path / "map.png")
    draw_html(drawing(labels, ["$$x$$", "</script>"]), tmp_path / "map.html")
    ElementTree.parse(tmp_path / "map.svg")
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
    assert found == pytest.approx(reference.fit_transform(vectors.astype(np.float64)), abs=2e-3)
    assert shares == pytest.approx(reference.explained_variance_ratio_, rel=1e-4)


@pytest.mark.parametrize("projection", [*OF_NEIGHBOURS])
@pytest.mark.parametrize("count", [1, FEWEST_NEIGHBOURS - 1, FEWEST_NEIGHBOURS, 60])
def test_neighbours_stay_together(count, projection):
    """Three groups far apart; the same points twice; fewer points than it takes are shown by components."""
    draw = np.random.default_rng(0)
    group = np.arange(count) % 3
    vectors = (draw.standard_normal((count, 16)) + 30 * group[:, None]).astype(np.float32)
    found, axes = project(vectors, projection)
    assert found.shape == (count, 2) and np.isfinite(found).all()
    assert np.array_equal(found, project(vectors, projection)[0])
    assert ("too few for " in axes[0]) == (count < FEWEST_NEIGHBOURS)
    if count == 60:
        distances = ((found[:, None] - found[None]) ** 2).sum(2)
        assert (group[np.argsort(distances)[:, 1]] == group).all()


@pytest.mark.parametrize(("labels", "expected"), [("5\tx\n", ["", "x"]), ("", ["", ""]), ("3\tx\n4\tx\n", ["", ""])])
def test_what_a_map_says_of_its_points(records, labels, expected):
    path = records.with_name("labels.tsv")
    path.write_text(f"record\tlabel\n{labels}")
    found = described(records, path, np.array([0, 2])).drop(columns="record")
    assert found.to_dict("list") == {"description": ["first", "last"], "length": [5, 7], "label": expected}


def test_points_have_the_further_columns_of_their_records(tmp_path):
    """The first record was dropped, so that the numbers of records are not the positions of points."""
    write_shard(tmp_path / "shard.h5", DIGESTS, [len(text) for text in RESIDUES], batch(0, RESIDUES))
    rows = [("1", "", "dropped", "", "0", "")]
    for number, (name, row) in enumerate(zip(IDS, ROWS, strict=True), start=2):
        rows.append((str(number), name, "accepted", "", str(len(RESIDUES[row])), DIGESTS[row]))
    table = pd.DataFrame(rows, columns=["record", "id", "status", "description", "length", "digest"])
    table.to_csv(tmp_path / "records.tsv", sep="\t", index=False)
    accepted = read_accepted(tmp_path / "records.tsv")
    assemble(tmp_path / "embeddings.h5", ATTRIBUTES, OPTIONS, accepted, [tmp_path / "shard.h5"])
    (tmp_path / "labels.tsv").write_text("record\tlabel\n3\tkinase\n")
    (tmp_path / "columns.tsv").write_text("record\tmass\tcolour\n1\t0\tno\n2\t1.5\t\n6\t\tred\n")
    inputs = (tmp_path / name for name in ("embeddings.h5", "records.tsv", "labels.tsv"))
    drawing = make_map(*inputs, "a note", "components", columns=tmp_path / "columns.tsv", label_name="kind")
    assert drawing.label_name == "kind"
    assert drawing.points["id"].tolist() == IDS
    assert drawing.points["label"].tolist() == ["", "kinase", "", "", ""]
    assert drawing.columns.to_dict("list") == {"mass": ["1.5", "", "", "", ""], "colour": ["", "", "", "", "red"]}
    assert (drawing.title, drawing.details) == ("d", "mean embeddings by lucaone-1 · 5 sequences · a note")


def test_many_points_of_an_svg_are_one_picture(tmp_path):
    for name, count in (("few", 100), ("many", MOST_DRAWN_POINTS + 2)):
        draw_picture(drawing(["a", "b"] * (count // 2)), tmp_path / f"{name}.png")
        assert ("<image" in (tmp_path / f"{name}.svg").read_text()) == (name == "many"), name
