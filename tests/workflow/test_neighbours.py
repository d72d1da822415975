"""Neighbours of one dataset in another: what is found, and what runs again after a change."""

from __future__ import annotations

import os
import random

import pandas as pd
import pytest
import yaml

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
# Letters that are frequent in each of two kinds of proteins.
KINDS = {"membrane": "LIVFAG" * 3 + LETTERS, "coiled": "EKQRAD" * 3 + LETTERS}


def proteins(count: int, seed: int) -> dict[str, tuple[str, str]]:
    """Return random proteins by id, each with its kind."""
    generator = random.Random(seed)
    names = [*KINDS] * (count // 2)
    return {
        f"{kind[0]}{seed}_{number}": ("M" + "".join(generator.choices(KINDS[kind], k=40)), kind)
        for number, kind in enumerate(names)
    }


KNOWN = proteins(20, 1)
ROWS = (
    {"dataset": "mine", "path": "mine.fasta", "seq_type": "prot", "reference": "known"},
    {"dataset": "known", "path": "known.csv", "seq_type": "prot", "label_column": "kind"},
)
MINE = {identifier: sequence for identifier, (sequence, _) in proteins(6, 2).items()}


def write_known(workflow, records: dict[str, tuple[str, str]]) -> None:
    rows = [f"{identifier},{sequence},{kind}\n" for identifier, (sequence, kind) in records.items()]
    workflow.write("known.csv", "id,sequence,kind\n" + "".join(rows))


@pytest.fixture
def two(workflow):
    """Six proteins without labels, one of them also in a reference of twenty with labels."""
    write_known(workflow, KNOWN)
    workflow.fasta("mine.fasta", {**MINE, "copy": KNOWN["m1_0"][0]})
    workflow.datasets(*ROWS)
    return workflow


def table(workflow, dataset: str, name: str) -> pd.DataFrame:
    return pd.read_csv(workflow.result(dataset, name), sep="\t", dtype=str, keep_default_na=False)


def test_neighbours_in_a_reference_and_what_runs_again(two):
    assert two.run().succeeded().jobs["draw_with_labels"] == 2
    found = table(two, "mine", "neighbours.tsv")
    assert found["id"].unique().tolist() == [*MINE, "copy"]
    assert set(found["neighbour"]) <= set(KNOWN)
    assert "m1_0" not in set(found.loc[found["id"] == "copy", "neighbour"]), "its sequence is the same"
    assert set(found["neighbour_label"]) == set(KINDS)
    assert table(two, "known", "groups.tsv").columns.tolist() == ["id", "group", "membership", "stability"]
    assert two.result("mine", "figures/similarity.svg").is_file()
    labels = table(two, "mine", "transferred_labels.tsv").set_index("id")
    overview = pd.read_csv(two.directory / "results/mine/overview.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert set(overview["suggested_label"]) <= set(KINDS)
    assert set(overview["best_hit_label"]) <= {*KINDS, ""}
    assert "group" in overview
    assert labels.loc["copy", "label"] in KINDS
    assert (labels["label_given"] == "").all()
    metrics = two.result("mine", "neighbours.metrics.html").read_text()
    assert "20 labelled sequences of the reference get their own label" in metrics

    run = two.directory / "results/mine/run.yaml"
    assert yaml.safe_load(run.read_text())["dataset"]["reference"] == "known"
    assert "<th>neighbours are searched in</th><td>known</td>" in run.with_suffix(".html").read_text()

    drawn = {name: two.result(name, "neighbours.tsv").stat().st_mtime_ns for name in ("mine", "known")}
    two.fasta("mine.fasta", MINE)
    two.run().succeeded()
    assert two.result("known", "neighbours.tsv").stat().st_mtime_ns == drawn["known"]
    assert "copy" not in set(table(two, "mine", "neighbours.tsv")["id"])

    write_known(two, {**KNOWN, "m1_0": (KNOWN["m1_0"][0], "coiled")})
    jobs = two.run().succeeded().jobs
    assert (jobs["draw_with_labels"], jobs["assemble"], jobs["embed"]) == (2, 0, 0), "a label of the reference changed"
    (label,) = set(table(two, "mine", "neighbours.tsv").set_index("neighbour").loc[["m1_0"], "neighbour_label"])
    assert label == "coiled"
    assert "Nothing to be done" in two.run().succeeded().output

    # Where MMseqs2 fails, the rest is drawn all the same, and the page names the missing part.
    program = two.write("broken/mmseqs", "#!/bin/sh\necho no room\nexit 7\n")
    program.chmod(0o755)
    two.result("known", "neighbours.metrics.tsv").unlink()
    two.run(PATH=f"{program.parent}:{os.environ['PATH']}").succeeded()
    page = two.result("known", "neighbours.metrics.html").read_text()
    assert "MMseqs2 ended with status 7" in page
    assert "by the best hit" not in page and "By the votes of 10 neighbours" in page
    assert set(table(two, "known", "transferred_labels.tsv")["best_hit"]) == {"-"}
    assert two.result("known", "figures/map.png").is_file()
    two.result("known", "neighbours.metrics.tsv").unlink()
    two.run().succeeded()
    assert "by the best hit" in two.result("known", "neighbours.metrics.html").read_text()


@pytest.mark.long
def test_a_search_divided_among_jobs_finds_the_same_and_one_more_sequence_is_searched_alone(two):
    two.config["compute"] |= {"shard_tokens": 500}
    two.config["neighbours"] = {"k": 3}
    two.run().succeeded()
    whole = {name: two.result(name, "neighbours.tsv").read_bytes() for name in ("mine", "known")}
    labels = two.result("mine", "transferred_labels.tsv").read_bytes()
    two.config["neighbours"]["most_pairs"] = 100
    assert {*two.run().succeeded().jobs} == {"summarise"}, "results do not depend on it"
    for name in whole:
        two.result(name, "neighbours.tsv").unlink()
    run = two.run().succeeded()
    shards = {name: len([*two.directory.glob(f"results/{name}/sequences/shards/*.fasta")]) for name in whole}
    assert shards["mine"] > 0
    assert shards["known"] > 1
    assert (run.jobs["search_part"], run.jobs["search"]) == (sum(shards.values()), 2)
    assert {name: two.result(name, "neighbours.tsv").read_bytes() for name in whole} == whole
    assert two.result("mine", "transferred_labels.tsv").read_bytes() == labels
    (log,) = two.directory.glob("logs/search/mine/*.log")
    assert "neighbours" in log.read_text()
    assert "Nothing to be done" in two.run().succeeded().output

    before = set(two.directory.glob("results/mine/mini-1/nearest/*/*.h5"))
    two.fasta("mine.fasta", {**MINE, "copy": KNOWN["m1_0"][0], "new": "MKVLAWKSANGIACNVWHDFVWFSYQ"})
    run = two.run().succeeded()
    assert run.jobs["search"] == 1, "the reference is as it was"
    assert run.jobs["search_part"] < shards["mine"] or shards["mine"] == 1
    assert before & set(two.directory.glob("results/mine/mini-1/nearest/*/*.h5"))
    old = [line for line in whole["mine"].decode().splitlines() if not line.startswith("new")]
    new = two.result("mine", "neighbours.tsv").read_text().splitlines()
    assert [line for line in new if not line.startswith("new")] == old
    two.run("--", "verify").succeeded()


@pytest.mark.long
def test_an_approximate_search_says_how_many_neighbours_it_finds(two):
    pytest.importorskip("usearch", reason="the package usearch (extra `approximate`) is not installed")
    two.datasets({"dataset": "plain", "path": "mine.fasta", "seq_type": "prot"}, *ROWS)
    two.config["neighbours"] = {"k": 3, "most_pairs": 40, "search": "approximate"}
    run = two.run().succeeded()
    assert (run.jobs["search"], run.jobs["search_part"]) == (3, 0)
    for name in ("plain", "mine", "known"):
        metrics = table(two, name, "neighbours.metrics.tsv").set_index("metric")
        recall = metrics.loc["recall of 3 neighbours"]
        assert float(recall["value"]) > 0.9
        assert int(recall["sequences"]) == {"plain": 7, "mine": 7, "known": 20}[name]
        assert "The search for neighbours is approximate" in two.result(name, "neighbours.metrics.html").read_text()
    assert "accuracy" in table(two, "mine", "neighbours.metrics.tsv")["metric"].tolist()
    assert [*two.directory.glob("results/mine/mini-1/nearest/*/.graph")], "it serves further sequences"
    assert not [*two.directory.glob("results/known/mini-1/nearest/*/.graph")]
