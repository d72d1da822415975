"""How figures are saved."""

from xml.etree import ElementTree

from matplotlib.figure import Figure
from PIL import Image

from lucaflow.report.style import plain, save_picture

AWKWARD = "_$a^$ <b> & \x0b\x01 \u03b1"


def drawn():
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    axes.scatter([0, 1], [1, 0], label=plain(AWKWARD))
    axes.legend()
    return figure


def test_a_picture_is_a_png_and_an_svg_with_letters(tmp_path):
    save_picture(drawn(), tmp_path / "a.b.png")
    with Image.open(tmp_path / "a.b.png") as picture:
        assert picture.size == (1200, 900)
    texts = [text for text in ElementTree.parse(tmp_path / "a.b.svg").getroot().itertext() if text.strip()]
    assert "$a^$ <b> & \ufffd\ufffd \u03b1" in texts


def test_the_same_picture_is_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        save_picture(drawn(), tmp_path / f"{name}.png")
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()
