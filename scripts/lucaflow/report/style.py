"""How figures look, and how they are saved."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from matplotlib import rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

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
        # Letters stay letters in an SVG, so that a drawing program can change them.
        "svg.fonttype": "none",
    }
)
# Control characters, halves of pairs and non-characters, which no XML may hold.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# Dots per inch of a PNG, and of points in an SVG that are too many to be drawn one by one.
_DPI = 300
# The same of pictures within pages.
_DPI_OF_PAGES = 150
# The size of the letters of a title, in points.
_TITLE = 13
# Where a title begins, as a share of the width.
_LEFT = 0.012
# To save a figure without another layout, and as the same bytes each time.
_AS_IT_IS: Any = {"figure.constrained_layout.use": False, "figure.autolayout": False, "svg.hashsalt": "LucaFlow"}


def plain(text: str) -> str:
    """Return text that matplotlib shows as it is: `$` does not start a formula, a first `_` does not hide a label.

    Characters that an SVG cannot hold are shown as `\ufffd`.
    """
    return _NOT_IN_XML.sub("\ufffd", text).replace("$", r"\$").removeprefix("_") or " "


def show_lengths(axis: Axes, shortest: float, longest: float, wide: float) -> None:
    """Let the x-axis show lengths in residues, on a logarithmic scale if they differ by more than the factor `wide`."""
    if longest > wide * shortest:
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3) if longest < 30 * shortest else (1,)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_xlabel("length (residues)")


def set_title(drawn: Figure, title: str, details: str = "") -> None:
    """Set a short title above all axes, and details in a smaller line below it."""
    # The second line of the title keeps the place for the details.
    drawn.suptitle(plain(title) + "\n" * bool(details), fontsize=_TITLE, fontweight="bold", x=_LEFT, ha="left")
    below = drawn.transFigure + ScaledTranslation(0, -1.8 * _TITLE / 72, drawn.dpi_scale_trans)
    text = drawn.text(_LEFT, 1, plain(details), fontsize="small", color="#444444", ha="left", va="top", transform=below)
    text.set_in_layout(False)


def save_picture(drawn: Figure, path: Path) -> None:
    """Save a matplotlib figure as `path`, a PNG, and as an SVG beside it; each completely or not at all.

    The same figure is saved as the same bytes.
    """
    # Laid out once, not for each of the two files. With a layout engine, even "none", savefig would draw each twice.
    if engine := drawn.get_layout_engine():
        engine.execute(drawn)
    with rc_context(_AS_IT_IS):
        drawn.set_layout_engine(None)
        save_png(drawn, path)
        with replacing(path.with_suffix(".svg")) as temporary:
            drawn.savefig(temporary, dpi=_DPI, format="svg", metadata={"Date": None, "Creator": None})


def save_png(drawn: Figure, path: Path) -> None:
    """Save a matplotlib figure as a PNG, completely or not at all."""
    with replacing(path) as temporary:
        drawn.savefig(temporary, dpi=_DPI, format="png", metadata={"Software": None})


def picture_bytes(drawn: Figure) -> bytes:
    """Return a matplotlib figure as a PNG for a page. The same figure has the same bytes."""
    held = io.BytesIO()
    drawn.savefig(held, dpi=_DPI_OF_PAGES, format="png", metadata={"Software": None})
    return held.getvalue()
