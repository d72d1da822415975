"""How do the measurements of `make mini` become the tables and the figure of docs/mini.md?"""

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
from mini.recipes import RECIPES, Recipe
from mini.weights import root_of

MARK = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
AVERAGED = 100
EVIDENCE = "evidence.json"
KINDS = ("masked", "loss", "neighbours")
# The network whose tables and downstream models have sections of their own.
FIRST = "mini-1"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def share_table(rows: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Return the shares of correct answers on the held-out sets: a row for each set, a column for each method."""
    names = _methods(rows, kind)
    body = [
        [
            *(row["set"], str(next(iter(row[kind].values()))["of"])),
            *(str(Share(**row[kind][name])) if name in row[kind] else "" for name in names),
        ]
        for row in rows
    ]
    return table(["set", "n", *names], body)


def loss_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the losses on the held-out sets: a row for each set, a column for each method."""
    names = _methods(rows, "loss")
    body = [
        [row["set"], *(f"{row['loss'][name]:.3f}" if name in row["loss"] else "" for name in names)] for row in rows
    ]
    return table(["set", *names], body)


def _methods(rows: Sequence[Mapping[str, Any]], kind: str) -> list[str]:
    """Return the names of the methods of all rows, the networks first."""
    names = list(dict.fromkeys(name for row in rows for name in row[kind]))
    return sorted(names, key=lambda name: name not in RECIPES and name != "mini")


def together(measurements: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each held-out set with the methods of all measurements.

    measurements: the rows of each network. Its untrained form is named after it.
    """
    found: dict[str, dict[str, Any]] = {}
    for rows in measurements:
        for row in rows:
            named = found.setdefault(row["set"], {"set": row["set"], **{kind: {} for kind in KINDS}})
            for kind in KINDS:
                for name, value in row[kind].items():
                    network = next((each for each in row[kind] if each in RECIPES and each != FIRST), FIRST)
                    named[kind].setdefault(f"untrained {network}" if name == "untrained" else name, value)
    return list(found.values())


def downstream_table(measured: Mapping[str, Any]) -> str:
    """Return the accuracies of the two downstream models and of their baselines."""
    rows = []
    for name in ("location", "location, test set"):
        for method, scores in measured["location"][name].items():
            rows.append([f"MiniProtLoc: {name}", method, *_scores(scores), ""])
    for name in ("against any other", "against the most similar other"):
        for method, scores in measured["central dogma"][name].items():
            area = f"{scores['area under the curve']:.3f}" if "area under the curve" in scores else ""
            rows.append([f"MiniCentralDogma: {name}", method, *_scores(scores), area])
    return table(["model: test set", "method", "n", "accuracy (95 %)", "macro F1", "area under the curve"], rows)


def _scores(scores: Mapping[str, Any]) -> list[str]:
    low, high = scores["interval"]
    return [str(scores["of"]), f"{scores['accuracy']:.3f} ({low:.3f} to {high:.3f})", f"{scores['macro F1']:.3f}"]


def results_by_measure(measured: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Return the results of the trained weights, by (measure, set)."""
    rows = measured["masked tokens and neighbours"]
    found = {("hidden tokens", row["set"]): Share(**row["masked"]["mini"]).value for row in rows}
    found |= {("loss (nats)", row["set"]): row["loss"]["mini"] for row in rows}
    found |= {("neighbours", row["set"]): Share(**row["neighbours"]["mini"]).value for row in rows}
    for head, model in (("location", "MiniProtLoc"), ("central dogma", "MiniCentralDogma")):
        by_set = {name: scores["head"] for name, scores in measured[head].items() if isinstance(scores, dict)}
        found |= {(model, name): scores["accuracy"] for name, scores in by_set.items()}
    return found


def repeats_table(measured: Mapping[str, Any], repeats: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the results of every training, and their range: a row for each measure and set."""
    trainings = [results_by_measure(each) for each in (measured, *repeats.values())]
    rows = []
    for measure, on in trainings[0]:
        values = [training[measure, on] for training in trainings]
        rows.append([measure, on, *(f"{value:.3f}" for value in (*values, np.ptp(values)))])
    return table(["measure", "set", "packaged", *repeats, "range"], rows)


def range_table(measured: Mapping[str, Any], repeats: Mapping[str, Mapping[str, Any]]) -> str:
    """Return for each measure the largest range over trainings: on the large test set, and on the smaller sets."""
    trainings = [results_by_measure(each) for each in (measured, *repeats.values())]
    ranges: dict[str, list[list[float]]] = {}
    for measure, on in trainings[0]:
        spread = float(np.ptp([training[measure, on] for training in trainings]))
        ranges.setdefault(measure, [[], []])["test set" not in on].append(spread)
    rows = [[measure, *(f"{max(each):.3f}" if each else "" for each in sets)] for measure, sets in ranges.items()]
    return table(["measure", "range on the test set of locations", "largest range on smaller sets"], rows)


def filled(
    page: str,
    measured: Mapping[str, Any],
    repeats: Mapping[str, Mapping[str, Any]],
    later: Sequence[Sequence[Mapping[str, Any]]] = (),
) -> str:
    """Return the page with its tables filled in.

    measured: of the first network; repeats: the measurements of its other trainings, by name; later: the rows of each
    later network.
    """
    rows = measured["masked tokens and neighbours"]
    tables = {
        "masked": share_table(rows, "masked"),
        "losses": loss_table(rows),
        "neighbours": share_table(rows, "neighbours"),
        "downstream": downstream_table(measured),
        "again": repeats_table(measured, repeats),
        "noise": range_table(measured, repeats),
    }
    if later:
        rows = together(later)
        tables |= {
            "later_masked": share_table(rows, "masked"),
            "later_losses": loss_table(rows),
            "later_neighbours": share_table(rows, "neighbours"),
        }
    return MARK.sub(lambda match: f"{match[1]}{tables[match[2]]}{match[3]}" if match[2] in tables else match[0], page)


def draw_losses(losses_csv: Path, path: Path) -> None:
    """Draw the training loss for both alphabets, averaged over up to AVERAGED neighbouring steps."""
    with losses_csv.open(newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    read = {row["seq_type"] for row in rows}
    for seq_type, name, letters in (("gene", "nucleotides", 4), ("prot", "residues of proteins", 20)):
        if seq_type not in read:
            continue
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
    """Return the measurements of other trainings by the same recipe, by name: resources/mini/again/*.json."""
    return {
        path.stem.replace("_", " "): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(resources.glob("mini/again/*.json"))
    }


def read_later(resources: Path) -> list[list[dict[str, Any]]]:
    """Return the rows of each later network whose measurements are there."""
    paths = [root_of(each, resources) / EVIDENCE for each in RECIPES.values() if each.model.name != FIRST]
    return [json.loads(path.read_text())["masked tokens and neighbours"] for path in paths if path.is_file()]


def write(recipe: Recipe, losses_csv: Path, root: Path) -> None:
    """Update docs/mini.md and the figure of a recipe."""
    docs, resources = root / "docs", root / "resources"
    page = docs / "mini.md"
    measured = json.loads((resources / "mini/evidence.json").read_text(encoding="utf-8"))
    text = filled(page.read_text(encoding="utf-8"), measured, read_repeats(resources), read_later(resources))
    page.write_text(text, encoding="utf-8")
    name = "mini" if recipe.model.name == FIRST else recipe.model.name
    draw_losses(losses_csv, docs / f"images/{name}_training.png")
