"""Which colour and which marker does each label have, and how is it named in a legend?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Distinguished by people of any colour vision: M. Okabe and K. Ito, Color Universal Design (2008),
# https://jfly.uni-koeln.de/color/. Black is left out, since it would seem to matter more than the others. No two
# neighbours are a light and a dark one of the same hue.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
# The colours are used again with the next marker. Names of Bokeh, and what matplotlib calls them.
MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "inverted_triangle": "v"}
# For bars and points that are all of one kind.
SINGLE = PALETTE[0]
GREY = "#bbbbbb"
# Labels that are too rare for a colour of their own, and records without a label.
OTHER, NONE = "other", "(none)"
# Letters of a label in a legend.
_MOST_LETTERS = 32


@dataclass(frozen=True)
class Look:
    """The colour, and the marker by its name in Bokeh, of the points of one label."""

    colour: str
    marker: str

    @property
    def sign(self) -> str:
        """The marker as matplotlib names it."""
        return MARKERS[self.marker]


LOOK_OF_OTHER = Look(GREY, "circle")
LOOK_OF_NONE = Look(GREY, "diamond")


def look_of(number: int) -> Look:
    """Return the look of the label with this number, from 0.

    >>> look_of(0), look_of(7)
    (Look(colour='#0072B2', marker='circle'), Look(colour='#0072B2', marker='square'))
    """
    return Look(PALETTE[number % len(PALETTE)], list(MARKERS)[number // len(PALETTE) % len(MARKERS)])


def look_of_labels(labels: Sequence[str]) -> dict[str, Look]:
    """Return a look for each label, in their order; `other` and `(none)` are grey, and take no colour from the rest."""
    named = [label for label in labels if label not in (OTHER, NONE)]
    looks = {label: look_of(number) for number, label in enumerate(named)}
    return {label: looks.get(label, LOOK_OF_OTHER if label == OTHER else LOOK_OF_NONE) for label in labels}


def colour_of_labels(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour for each label, for bars and other things without a marker.

    >>> colour_of_labels(["kinase", OTHER])
    {'kinase': '#0072B2', 'other': '#bbbbbb'}
    """
    return {label: look.colour for label, look in look_of_labels(labels).items()}


def shortened(text: str, most: int = _MOST_LETTERS) -> str:
    """Return a text of at most `most` letters. Long ones keep their start and their end, where they often differ.

    >>> shortened("DNA-directed RNA polymerase subunit beta", 24)
    'DNA-directed RNA…it beta'
    """
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def name_in_legend(label: str, count: int) -> str:
    """Return a label as a legend shows it.

    >>> name_in_legend("kinase", 1234)
    'kinase (1,234)'
    """
    return f"{shortened(label)} ({count:,})"
