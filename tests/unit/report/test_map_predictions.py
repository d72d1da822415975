"""What the page of a map knows of predictions and scores."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from lucaflow.report import map_predictions
from lucaflow.report.columns import Numbers, Texts
from lucaflow.report.map_page import _columns_of
from lucaflow.report.map_predictions import with_predictions
from lucaflow.report.maps import Map

IDS = ["a", "b", "c", "d"]


@pytest.fixture
def drawing():
    points = pd.DataFrame({"id": IDS, "description": "", "label": "", "length": 5, "x": 0.0, "y": 0.0})
    return Map(points, "d", "", ("x", "y"), pd.DataFrame({"place": ["of the input"] * 4}))


def predict(folder, task: str, kind: str, header: str, *rows: str, level: str = "seq_level"):
    (folder / f"{task}.json").write_text(json.dumps({"task_type": kind, "task_level_type": level}))
    path = folder / f"{task}.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_points_are_coloured_by_predictions_and_scores(tmp_path, drawing, monkeypatch):
    """Tables have rows of records that are not in the map, lack those of points, and are read in parts."""
    monkeypatch.setattr(map_predictions, "_ROWS_AT_ONCE", 2)
    tasks = [
        predict(tmp_path, "place", "multi_class", "seq_id,seq,prob,label", "x,M,1.0,no", "c,M,0.5,NA", "a,M,0.9,1"),
        predict(tmp_path, "Best", "multi_class", "seq_id,seq,top1_prob,top1_label,top2_probs,top2_labels",
                "b,M,0.7,Nucleus,\"[0.7, 0.2]\",\"['Nucleus', 'Membrane']\""),
        predict(tmp_path, "Heat", "regression", "seq_id,seq,prob,label", "b,M,61.25,61.25"),
        predict(tmp_path, "Sites", "multi_label", "seq_id,seq,prob,label", "d,M,[0.9],\"['x, y', 'z']\"", "b,M,[],[]"),
        predict(tmp_path, "Helix", "multi_label", "seq_id,seq,prob,label", 'a,M,"[[0.9], null]","[[""H""], null]"',
                level="token_level"),
    ]  # fmt: skip
    scores = tmp_path / "sequences.tsv"
    scores.write_text("id\tlength\tpseudo_perplexity\tentropy\nd\t5\t7.5\t1.5\na\t5\t6.5\t2.5\n")
    found = with_predictions(drawing, tasks, scores)
    assert found.columns.drop(columns="place").to_dict("list") == {
        "place (predictions)": ["1", "", "NA", ""],
        "place probability": ["0.9", "", "0.5", ""],
        "Best": ["", "Nucleus", "", ""],
        "Best probability": ["", "0.7", "", ""],
        "Heat": ["", "61.25", "", ""],
        "Sites": ["", "", "", "x, y, z"],
        "pseudo-perplexity": ["6.5", "", "", "7.5"],
        "entropy": ["2.5", "", "", "1.5"],
    }
    columns, _ = _columns_of(found)
    kinds = {column.name: type(column) for column in columns}
    # The label is a name of a class, even where it looks like a number.
    assert (kinds["place (predictions)"], kinds["Heat"], kinds["Best probability"]) == (Texts, Numbers, Numbers)


def test_classes_that_are_numbers_are_names_of_groups(tmp_path, drawing):
    task = predict(tmp_path, "Binds", "binary_class", "seq_id,seq,prob,label", "a,M,0.1,0", "b,M,0.8,1")
    columns, _ = _columns_of(with_predictions(drawing, [task], None))
    (column,) = (column for column in columns if column.name == "Binds")
    assert (column.different, column.numbers.tolist()) == (["0", "1"], [0, 1, -1, -1])


def test_without_any_a_map_stays_as_it_is(drawing):
    assert with_predictions(drawing, [], None).columns.equals(drawing.columns)
