"""How figures look, and how they are saved."""

from __future__ import annotations

from pathlib import Path

from matplotlib import rcParams
from matplotlib.figure import Figure

from lucaflow.files.writing import replacing

rcParams.update(
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
    """Return text that matplotlib shows as it is: `$` does not start a formula, a first `_` does not hide a label."""
    return text.replace("$", r"\$").removeprefix("_") or " "


def save_png(drawn: Figure, path: Path) -> None:
    """Save a matplotlib figure, completely or not at all."""
    with replacing(path) as temporary:
        drawn.savefig(temporary, dpi=150, format="png", metadata={"Software": None})
