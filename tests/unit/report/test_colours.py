"""Colours, markers and names of labels."""

import pytest
from matplotlib.colors import to_rgb

from lucaflow.report.colours import GREY, MARKERS, NONE, OTHER, PALETTE, colour_of_labels, look_of_labels, shortened

# M. Okabe and K. Ito, Color Universal Design, 2008: orange, sky blue, bluish green, yellow, blue, vermillion, reddish
# purple, as red, green and blue of 255.
OKABE_ITO = {
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
}  # fmt: skip


def test_the_palette_is_safe_for_colour_blind_people():
    assert {tuple(round(255 * part) for part in to_rgb(colour)) for colour in PALETTE} == OKABE_ITO


def test_each_label_has_a_look_of_its_own_and_the_rest_is_grey():
    labels = [OTHER, *(f"l{i}" for i in range(len(PALETTE) * len(MARKERS))), NONE]
    looks = look_of_labels(labels)
    assert list(looks) == labels
    assert len(set(looks.values())) == len(labels)
    assert [label for label in labels if looks[label].colour == GREY] == [OTHER, NONE]
    assert colour_of_labels(["a", NONE, "b"]) == {"a": PALETTE[0], NONE: GREY, "b": PALETTE[1]}


@pytest.mark.parametrize("text", ["", "short", "x" * 32, "DNA-directed RNA polymerase subunit alpha", "é" * 500])
def test_long_labels_are_shortened_at_both_ends(text):
    short = shortened(text)
    assert len(short) == min(len(text), 32)
    start, end = [*short.split("…"), ""][:2]
    assert text.startswith(start) and text.endswith(end)
