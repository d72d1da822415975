"""The tables and the figure of docs/mini.md, from what `make mini` measured."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from mini.evidence import Share

MARK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
AVERAGED = 100


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def shares(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Return a table of the sets that were kept apart, with a column for each way of telling."""
    names = list(rows[0][kind])
    body = [
        [row["set"], str(row[kind]["mini"]["of"]), *(str(Share(**row[kind][name])) for name in names)] for row in rows
    ]
    return table(["set", "of", *names], body)


def losses(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the losses on the sets that were kept apart, with a column for each way of telling."""
    names = list(rows[0]["loss"])
    return table(["set", *names], [[row["set"], *(f"{row['loss'][name]:.3f}" for name in names)] for row in rows])


def downstream(measured: Mapping[str, Any]) -> str:
    """Return a table of how well the two downstream models do."""
    rows = []
    for name in ("location", "location, test set"):
        for who, scores in measured["location"][name].items():
            rows.append([f"MiniProtLoc: {name}", who, *_scores(scores), ""])
    for name in ("against any other", "against the most similar other"):
        for who, scores in measured["central dogma"][name].items():
            area = f"{scores['area under the curve']:.3f}" if "area under the curve" in scores else ""
            rows.append([f"MiniCentralDogma: {name}", who, *_scores(scores), area])
    return table(["on", "by", "of", "accuracy (95 %)", "macro F1", "area under the curve"], rows)


def _scores(scores: Mapping[str, Any]) -> list[str]:
    low, high = scores["interval"]
    return [str(scores["of"]), f"{scores['accuracy']:.3f} ({low:.3f} to {high:.3f})", f"{scores['macro F1']:.3f}"]


def numbers(measured: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Return what the trained weights reached, by what was measured and on what."""
    rows = measured["masked tokens and neighbours"]
    found = {("hidden tokens", row["set"]): Share(**row["masked"]["mini"]).value for row in rows}
    found |= {("loss (nats)", row["set"]): row["loss"]["mini"] for row in rows}
    found |= {("neighbours", row["set"]): Share(**row["neighbours"]["mini"]).value for row in rows}
    for head, model in (("location", "MiniProtLoc"), ("central dogma", "MiniCentralDogma")):
        of_sets = {name: scores["head"] for name, scores in measured[head].items() if isinstance(scores, dict)}
        found |= {(model, name): scores["accuracy"] for name, scores in of_sets.items()}
    return found


def again(measured: Mapping[str, Any], repeats: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of what several trainings reached, and how far apart they are."""
    trainings = [numbers(each) for each in (measured, *repeats.values())]
    rows = []
    for what, on in trainings[0]:
        values = [training[what, on] for training in trainings]
        rows.append([what, on, *(f"{value:.3f}" for value in (*values, np.ptp(values)))])
    return table(["", "on", "packaged", *repeats, "furthest apart"], rows)


def noise(measured: Mapping[str, Any], repeats: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of how far trainings are apart at most, by what was measured: on the large test set, on others."""
    trainings = [numbers(each) for each in (measured, *repeats.values())]
    found: dict[str, list[list[float]]] = {}
    for what, on in trainings[0]:
        distance = float(np.ptp([training[what, on] for training in trainings]))
        found.setdefault(what, [[], []])["test set" not in on].append(distance)
    rows = [[what, *(f"{max(each):.3f}" if each else "" for each in sets)] for what, sets in found.items()]
    return table(["", "on the test set of locations", "on smaller sets"], rows)


def filled(page: str, measured: Mapping[str, Any], repeats: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page with its tables as measured. repeats: what other trainings reached, by their names."""
    rows = measured["masked tokens and neighbours"]
    tables = {
        "masked": shares(rows, "masked"),
        "losses": losses(rows),
        "neighbours": shares(rows, "neighbours"),
        "downstream": downstream(measured),
        "again": again(measured, repeats),
        "noise": noise(measured, repeats),
    }
    return MARK.sub(lambda match: f"{match[1]}{tables[match[2]]}{match[3]}", page)


def draw_losses(table_of_losses: Path, path: Path) -> None:
    """Draw the losses of training, averaged over neighbouring steps, for both alphabets."""
    with table_of_losses.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    for seq_type, name, letters in (("gene", "nucleotides", 4), ("prot", "residues of proteins", 20)):
        steps, values = np.array([(int(r["step"]), float(r["loss"])) for r in rows if r["seq_type"] == seq_type]).T
        width = min(AVERAGED, len(values))
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        (line,) = axes.plot(steps[width - 1 :], smooth, label=name)
        axes.axhline(np.log(letters), color=line.get_color(), linestyle=":", linewidth=1)
    axes.set(xlabel="step", ylabel="loss (nats a hidden token)", ylim=(0, None))
    axes.legend(title="dotted: guessing among all letters")
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def read_repeats(resources: Path) -> dict[str, Any]:
    """Return what was measured of other trainings by the same recipe, by their names: resources/mini/again/*.json."""
    return {
        path.stem.replace("_", " "): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(resources.glob("mini/again/*.json"))
    }


def write(measured: Mapping[str, Any], table_of_losses: Path, root: Path) -> None:
    """Bring docs/mini.md and its figure up to date."""
    docs = root / "docs"
    page = docs / "mini.md"
    text = filled(page.read_text(encoding="utf-8"), measured, read_repeats(root / "resources"))
    page.write_text(text, encoding="utf-8")
    draw_losses(table_of_losses, docs / "images/mini_training.png")
