"""Each converted checkpoint has a folder of its own."""

from lucaflow.checkpoints.converted_checkpoint import folder_name


def test_two_places_never_share_a_folder(tmp_path):
    names = {folder_name("lucaone-36000000", "local", str(tmp_path / place)) for place in "ab"}
    assert len(names) == 2
