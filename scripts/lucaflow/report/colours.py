"""Which colour each label has."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.colors import to_hex

# For bars and points that are all of one kind.
SINGLE = "#4c78a8"
GREY = "#bbbbbb"
# Labels that are too rare for a colour of their own, and records without a label.
OTHER, NONE = "other", "(none)"


def colour_of_labels(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour for each label; rare and missing labels are grey.

    >>> colour_of_labels(["kinase", OTHER])
    {'kinase': '#1f77b4', 'other': '#bbbbbb'}
    """
    palette = colormaps["tab10" if len(labels) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
    colours = {label: to_hex(palette[i % len(palette)]) for i, label in enumerate(labels)}
    return colours | {label: GREY for label in (OTHER, NONE) if label in colours}
