"""A name in a file leads to a place inside of its folder, or is refused."""

import pytest

from lucaflow.files.places import inside


def test_a_file_in_the_folder(tmp_path):
    assert inside(tmp_path, "mini-1/embeddings.h5") == tmp_path / "mini-1/embeddings.h5"
    assert inside(tmp_path, "./a b é.txt", links=False) == tmp_path / "a b é.txt"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../../x", "a/..", "/etc/passwd", "//x", "a\nb", "a\rb", "a\0b", "a\x1b[31m", "\u202ex"],
)
def test_other_names_are_refused(tmp_path, name):
    for links in (True, False):
        with pytest.raises(ValueError, match="is not a file inside"):
            inside(tmp_path, name, links=links)


def test_a_name_that_cannot_be_shown(tmp_path):
    assert inside(tmp_path, "a\x1b\u2028", printable=False) == tmp_path / "a\x1b\u2028"
    with pytest.raises(ValueError):
        inside(tmp_path, "a\x1b\n", printable=False)


def test_a_link_must_not_lead_out(tmp_path):
    folder, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "out").symlink_to(elsewhere)
    (folder / "in").symlink_to(folder)
    assert inside(folder, "in/x") == folder / "in/x"
    assert inside(folder, "out/x", links=False) == folder / "out/x"
    for name in ("out", "out/x", "in/out/x"):
        with pytest.raises(ValueError, match="is not a file inside"):
            inside(folder, name)
    # The folder itself may be a link: its owner put it there.
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", "x") == tmp_path / "link/x"


def test_a_long_name_is_cut_in_the_message(tmp_path):
    with pytest.raises(ValueError) as caught:
        inside(tmp_path, "../" * 10_000)
    assert len(str(caught.value)) < 500
