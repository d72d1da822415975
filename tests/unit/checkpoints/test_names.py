"""Names in files that came from elsewhere: lists of checksums, indices of weights, the list of a repository."""

import json
from functools import partial

import loopback
import pytest
from fetching_cases import QUICK
from huggingface_hub import HfApi

from lucaflow.checkpoints import hub
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, SUMS_NAME, read_sums, recorded_sums
from lucaflow.checkpoints.layouts import locate
from lucaflow.checkpoints.model import Model
from lucaflow.checkpoints.registry import Place, PublishedFile
from lucaflow.errors import CheckpointError

DIGEST = "0" * 64
# A line feed ends a line of SHA256SUMS.
WRONG = ["../x", "/etc/passwd", "", "a\0b", "a\x1b[2Jb", "a/../../b"]


@pytest.mark.parametrize("name", [*WRONG, "a\nb"])
def test_a_name_in_the_record_of_fetched_files(tmp_path, name):
    (tmp_path / FETCHED_RECORD).write_text(json.dumps({"files": {name: {"sha256": DIGEST}}}))
    with pytest.raises(CheckpointError, match=r"fetched.json is damaged \(ValueError.*is not a file inside"):
        recorded_sums(tmp_path)


@pytest.mark.parametrize("name", WRONG)
def test_a_name_in_the_list_of_checksums(tmp_path, name):
    (tmp_path / SUMS_NAME).write_text(f"{DIGEST}  {name}\n")
    with pytest.raises(CheckpointError, match=r"SHA256SUMS is damaged \(.*is not a file inside"):
        read_sums(tmp_path)


def test_a_file_may_be_a_link_but_no_folder_on_the_way_to_it(tmp_path):
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (folder / "pytorch.pth").symlink_to(other / "pytorch.pth")
    (folder / "out").symlink_to(other)
    (folder / SUMS_NAME).write_text(f"{DIGEST}  pytorch.pth\n{DIGEST}  models/a/config.json\n")
    assert list(read_sums(folder)) == ["pytorch.pth", "models/a/config.json"]
    (folder / SUMS_NAME).write_text(f"{DIGEST}  out/pytorch.pth\n")
    with pytest.raises(CheckpointError, match="'out' is not a file inside"):
        read_sums(folder)


@pytest.mark.parametrize("name", [*WRONG, "a\nb", "sub/x", 5, ["x"], None])
def test_a_name_in_an_index_of_weights(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name, "y": "z"}}))
    with pytest.raises(CheckpointError, match=r"model.safetensors.index.json is not an index of weight files"):
        locate(tmp_path, Model("lucaone", 36000000))


def test_weights_of_an_index_may_be_links(tmp_path):
    """In the cache of huggingface_hub they lead out of their folder."""
    folder = tmp_path / "snapshots"
    folder.mkdir()
    (tmp_path / "blob").touch()
    (folder / "config.json").write_text("{}")
    (folder / "a.safetensors").symlink_to("../blob")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "a.safetensors"}}))
    assert locate(folder, Model("lucaone", 36000000)).weights == (folder / "a.safetensors",)


@pytest.fixture
def repository(monkeypatch):
    """A Hub on loopback, and a function that publishes names in a repository of it."""
    with loopback.serving() as server:
        monkeypatch.setattr(hub.constants, "ENDPOINT", server.address)
        monkeypatch.setattr(hub, "HfApi", partial(HfApi, endpoint=server.address))
        files = (PublishedFile("config.json"), PublishedFile("model*.safetensors*"))
        place = Place("lucaone-1", "huggingface", "some/model", files)

        def look_up(*names):
            siblings = [{"rfilename": name, "size": 1, "blobId": "0" * 40} for name in names]
            about = {"id": "some/model", "sha": "0" * 40, "siblings": siblings, "tags": []}
            path = "/api/models/some/model"
            server.files[path] = json.dumps(about).encode()
            server.headers[path] = {"Content-Type": "application/json"}
            return hub.look_up(place, None, QUICK)

        yield look_up


@pytest.mark.parametrize("name", ["model\n.safetensors", "model\0.safetensors", "model\x1b[2J.safetensors"])
def test_a_name_in_the_list_of_a_repository(repository, name):
    with pytest.raises(
        CheckpointError, match=r"some/model cannot be fetched: 'model\\.*safetensors' is not a file ins"
    ):
        repository("config.json", name)


def test_a_name_that_is_too_long(repository):
    with pytest.raises(CheckpointError, match=r"'modelx+'\.\.\. is longer than the 246 bytes of a file's name"):
        repository("config.json", f"model{'x' * 300}.safetensors")


def test_names_that_are_not_needed_do_no_harm(repository):
    found = repository("config.json", "model.safetensors", "../model.safetensors", "a\nb", "sub/../model.safetensors")
    assert [file.name for file in found.files] == ["config.json", "model.safetensors"]
    with pytest.raises(
        CheckpointError, match=r"It holds: README.md, 'a\\nb', z0.txt, .*, and 481 more files"
    ) as refused:
        repository("a\nb", "README.md", *(f"z{number}.txt" for number in range(499)))
    assert str(refused.value).isprintable()
