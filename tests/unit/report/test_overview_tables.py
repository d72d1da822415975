"""Which tables an overview of records joins, and by which names of columns."""

from __future__ import annotations

import pandas as pd

from lucaflow.report.overview_tables import _write_overview, tables_of


def write(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def test_columns_of_several_models_start_with_their_names(tmp_path):
    folder = tmp_path / "p"
    write(folder / "records.tsv", ["record", "id", "description", "status", "reason", "length"],
          ["1", "a", "", "accepted", "", "5"], ["2", "b", "", "accepted", "", "6"])  # fmt: skip
    write(folder / "sequences/labels.tsv", ["record", "label"])
    write(folder / "sequences/columns.tsv", ["record"])
    for model, number in (("m1", "0.5"), ("m2", "0.25")):
        write(folder / model / "groups.tsv", ["id", "group", "membership", "stability"], ["b", f"of {model}", "1", "1"])
        write(
            folder / model / "neighbours.metrics.tsv",
            ["vectors", "metric", "among", "value", "low", "high", "sequences"],
            *([name, "accuracy", "all", number, "0", "1", "2"] for name in (model, "labels dealt at random")),
        )
        write(folder / model / "scores/sequences.tsv", ["id", "pseudo_perplexity"], ["a", number], ["b", "1"])
    (folder / "predictions").mkdir()
    (folder / "predictions/T.csv").write_text("seq_id,seq,top1_prob,top1_label\nb,M,0.9,Nucleus\n")
    tables = tables_of(folder, ["m1", "m2", "not drawn"], ["m1", "m2"], ["T"])
    _write_overview(folder, tables)
    found = pd.read_csv(folder / "overview.tsv", sep="\t", dtype=str, keep_default_na=False).set_index("id")
    assert found[["m1 pseudo_perplexity", "m2 pseudo_perplexity"]].to_numpy().tolist() == [["0.5", "0.25"], ["1", "1"]]
    assert found[["m1 group", "m2 group"]].to_numpy().tolist() == [["", ""], ["of m1", "of m2"]]
    assert found["T"].tolist() == ["", "Nucleus"]
    page = (folder / "overview.html").read_text()
    assert "0.25 (0 to 1)" in page
    assert "labels dealt at random (m2)" in page
    _write_overview(folder, tables_of(folder, ["m1"], [], []))
    assert "group" in (folder / "overview.tsv").read_text().split("\n")[0].split("\t")
