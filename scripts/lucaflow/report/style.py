"""How pictures look, and how they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from lucaflow.files.writing import replacing

matplotlib.use("Agg")
from matplotlib import pyplot as plt

plt.rcParams.update(
    {
        "figure.constrained_layout.use": True,
        "figure.titlesize": "small",
        "axes.titlesize": "small",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.fontsize": "small",
        "legend.frameon": False,
    }
)


def plain(text: str) -> str:
    """Return text as matplotlib shows it: dollars start no formula, an underscore hides no label."""
    return text.replace("$", r"\$").removeprefix("_") or " "


def save_png(drawn: Any, path: Path) -> None:
    """Write a figure of matplotlib, completely or not at all."""
    with replacing(path, guarded=True) as temporary:
        drawn.savefig(temporary, dpi=150, format="png", metadata={"Software": None})
    plt.close(drawn)
