"""Pages that need nothing but themselves."""

import re
from collections import Counter

import pandas as pd

from lucaflow.records.counts import Counts
from lucaflow.report.citations import citations
from lucaflow.report.overview import overview, read_agreement
from lucaflow.report.pages import page
from lucaflow.report.provenance import page_of_run

RUN = {
    "dataset": {
        "name": "p",
        "path": "/home/somebody/p.csv",
        "seq_type": "prot",
        "columns": {"header": None, "id": "acc", "sequence": None, "label": None, "pairs": False},
        "model": {"llm_version": "mini", "llm_step": 1},
        "tasks": ["T"],
    },
    "checkpoint_sha256": "c" * 64,
    "config": {
        "embedding": {"outputs": ["mean", "max"], "embedding_complete": True},
        "checkpoints": {"path": "/big/x"},
    },
    "versions": {"torch": "2.13.0"},
    "checkpoint": {
        "llm_version": "mini",
        "llm_step": 1,
        "origin": {"/big/x/pytorch.pth": {"bytes": 5, "sha256": "f" * 64}},
        "model": {"sha256": "c" * 64, "bytes": 7},
        "network_sha256": "d" * 64,
        "encoder": {"num_hidden_layers": 6},
        "parameters": 12,
    },
}
PREDICTED = {
    "task": "T",
    "dataset": "p",
    "model": "mini-1",
    "head_sha256": "a" * 64,
    "device": "cpu",
    "predicted": 1234,
}


def test_provenance_is_told_without_the_folders_of_a_machine():
    found = page_of_run(RUN, {"sha256": "d" * 64}, [PREDICTED])
    for text in ("p.csv", "pytorch.pth", "c" * 64, "d" * 64, "f" * 64, "a" * 64, "mean, max", "true", "2.13.0", "acc"):
        assert f">{text}<" in found, text
    assert "/home" not in found and "/big" not in found
    pairs = {key: RUN[key] for key in RUN if key != "checkpoint"}
    assert "Checkpoint" not in page_of_run(pairs, {}, [])


def test_the_overview_has_key_figures_and_a_picture(tmp_path):
    picture = tmp_path / "map.png"
    picture.write_bytes(b"\x89PNG")
    counts = {"p": Counts(Counter(accepted=2, dropped=1), lengths={1000: 2})}
    found = overview(tmp_path, counts, ["mini-1"], [PREDICTED], [picture], "A map of <p>.")
    assert f"<h1>{tmp_path.name}</h1>" in found
    for text in (
        "<b>1</b> dataset<",
        "<b>3</b> records",
        "<b>2</b> distinct",
        "<b>2,000</b>",
        "<b>1,234</b>",
        "mini-1",
    ):
        assert text in found, text
    assert "data:image/png;base64,iVBORw==" in found and "A map of &lt;p&gt;." in found
    without = overview(tmp_path, counts, [], [], [])
    assert "prediction" not in without and "<img" not in without and "<table" not in without


def test_the_overview_compares_models_by_labels_and_says_what_to_cite(tmp_path):
    picture = tmp_path / "map.png"
    picture.write_bytes(b"\x89PNG")
    labels = []
    for model, value in (("mini-1", "0.91"), ("esm2_t6_8M_UR50D", "0.952")):
        path = tmp_path / f"results/p/{model}/neighbours.metrics.tsv"
        path.parent.mkdir(parents=True)
        rows = [
            f"{model}\taccuracy\tall\t{value}\t0.8\t0.99\t60",
            "composition\taccuracy\tall\t0.5\t0.4\t0.6\t60",
            f"{model}\tbalanced accuracy\tall\t0.3\t0.2\t0.4\t60",
            "few\taccuracy\tall\t-\t-\t-\t1",
            f"{model}\taccuracy\tone of each 90 % cluster\t0.7\t0.6\t0.8\t40",
        ]
        path.write_text("\n".join(["vectors\tmetric\tamong\tvalue\tlow\thigh\tsequences", *rows]) + "\n")
        labels += read_agreement(path)
    cited = citations({"mini-1": "lucaone", "esm2_t6_8M_UR50D": "esm2", "ours": "dnabert", "dnaberts": "dnabert"})
    found = overview(tmp_path, {}, [], [], [picture, picture], "Two maps.", labels, cited)
    assert found.count("<img") == 2
    cells = re.findall("<td[^>]*>(.*?)</td>", found)
    assert cells == [
        *("p", "mini-1", "91% (80% to 99%)", "70% (60% to 80%)"),
        *("p", "esm2_t6_8M_UR50D", "95% (80% to 99%)", "70% (60% to 80%)"),
        *("p", "composition", "50% (40% to 60%)", "-"),
    ]
    for title in ("LucaOne (He et al.", "ESM-2 (Lin et al.", "DNABERT-2 (Zhou et al.", "DNABERT-S (Zhou et al."):
        assert found.count(title) == 1, title
    assert "mini-1 is a small network" in found


def test_numbers_have_four_digits_and_texts_stay():
    rows = pd.DataFrame({"p": [0.123456, None], "ec": ["1.10", "<b>"], "n": pd.array([12345, None], "Int64")})
    found = page(rows, "T")
    for cell in (">0.1235<", ">1.10<", ">&lt;b&gt;<", ">12345<"):
        assert cell in found
    assert found.count(">-<") == 2
    assert "<tbody>\n</tbody>" in page(rows.iloc[:0], "T")
