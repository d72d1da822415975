"""A list of checksums stands for a folder of files, and names every difference."""

import subprocess

from lucaflow.files.checksums import damage_of_listed, write_list


def test_a_list_is_what_sha256sum_reads(tmp_path):
    folder, sums = tmp_path / "folder", tmp_path / "folder.sha256"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}\x1c\u2028.txt").write_text(str(number))
    write_list(sums, folder)
    subprocess.run(["sha256sum", "--check", "--strict", sums.name], cwd=tmp_path, check=True)
    (folder / "notes.txt").write_text("somebody's own")
    assert not damage_of_listed(sums)
    (folder / "1\x1c\u2028.txt").write_text("other")
    assert damage_of_listed(sums) == "folder/1\x1c\u2028.txt has changed since it was written"
    for number in (0, 2, 3):
        (folder / f"{number}\x1c\u2028.txt").unlink()
    assert damage_of_listed(sums).count("is missing") == 2
    assert damage_of_listed(sums).endswith("; and more")


def test_a_name_in_a_list_that_leads_out_is_a_difference(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    sums = tmp_path / "export/folder.sha256"
    sums.parent.mkdir()
    sums.write_text(f"{'0' * 64}  ../notes.txt\n")
    assert "'../notes.txt' is not a file inside" in damage_of_listed(sums)
