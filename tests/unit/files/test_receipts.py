"""A receipt says on what a step depended and what it wrote; anything else is noticed."""

import json
import subprocess
from pathlib import Path

import pytest

from lucaflow.errors import StoreError, UnreadableError
from lucaflow.files.checksums import sha256_of
from lucaflow.files.json_files import digest_of_settings
from lucaflow.files.receipts import (
    as_list,
    damage,
    is_current,
    receipt_path,
    receipts_in,
    recorded_outputs,
    recorded_settings,
    recording,
    require_unchanged,
    write_receipt,
)

SETTINGS = {"a": 1, "b": [2, None]}


@pytest.fixture
def step(tmp_path):
    """The receipt of a step that wrote a file, a file in a folder, and a folder."""
    receipt = receipt_path(tmp_path / "results/d", "normalize")
    write(receipt)
    return receipt


def outputs_of(receipt: Path) -> list[Path]:
    return [receipt.parents[1] / name for name in ("records.tsv", "sequences/b c.txt", "sequences/folder")]


def write(receipt: Path, settings=SETTINGS) -> None:
    text, other, folder = outputs_of(receipt)
    with recording(receipt, settings, [text, other, folder]):
        other.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        text.write_text("text")
        other.write_text("other")


def test_the_same_settings_are_current_in_any_order(step):
    assert digest_of_settings({"b": [2, None], "a": 1}) == digest_of_settings(SETTINGS)
    assert is_current(step, {"b": [2, None], "a": 1})
    assert recorded_settings(step) == SETTINGS
    assert not is_current(step, {"a": 1, "b": [2, 0]})
    write(step, {"a": 2})
    assert not is_current(step, SETTINGS) and is_current(step, {"a": 2})


@pytest.mark.parametrize("number", range(3))
def test_a_missing_output_is_not_current(step, number):
    path = outputs_of(step)[number]
    path.rename(path.with_name("elsewhere"))
    assert not is_current(step, SETTINGS)


def test_another_size_is_noticed_without_reading_and_a_changed_bit_by_reading(step):
    text, other, _ = outputs_of(step)
    text.write_text("longer text")
    assert not is_current(step, SETTINGS)
    assert damage(step) == [(text, "11 bytes, expected 4"), (step, "describes files that changed")]
    text.write_text("test")
    other.unlink()
    assert damage(step) == [
        (text, "its content has changed"), (other, "missing"), (step, "describes files that changed")
    ]  # fmt: skip


def test_a_failed_step_leaves_no_receipt(step):
    with pytest.raises(ZeroDivisionError), recording(step, SETTINGS, outputs_of(step)):
        raise ZeroDivisionError
    assert not step.exists()
    assert not is_current(step, SETTINGS)
    assert recorded_settings(step) is None


def test_changed_settings_are_a_damaged_receipt(step):
    step.write_text(step.read_text().replace('"a": 1', '"a": 3'))
    assert recorded_settings(step) is None
    ((path, problem),) = damage(step)
    assert path == step and "its settings do not match their SHA-256" in problem


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"settings_sha256": "", "settings": {}, "outputs": {"a": {}}}']
)
def test_a_damaged_receipt_is_no_receipt(step, content):
    step.write_text(content)
    assert not is_current(step, SETTINGS)
    assert recorded_settings(step) is None
    ((path, problem),) = damage(step)
    assert path == step and "is damaged" in problem
    with pytest.raises(StoreError, match="no receipt has its SHA-256"):
        require_unchanged(outputs_of(step)[:1])


@pytest.mark.parametrize(
    "name", ["../../outside.txt", "/etc/passwd", "sequences/../../x", "notes.txt", "m/figures/map.png"]
)
def test_a_receipt_that_names_a_file_of_something_else_is_damaged(step, name):
    content = json.loads(step.read_text())
    content["outputs"] = {name: {"bytes": 1, "sha256": "0"}}
    step.write_text(json.dumps(content))
    assert not is_current(step, SETTINGS)
    assert [path for path, _ in damage(step)] == [step]


@pytest.mark.parametrize(("key", "value"), [("reads", ["x"]), ("outputs", {"records.tsv": "folder"})])
def test_a_receipt_of_another_form_is_damaged(step, key, value):
    step.write_text(json.dumps({**json.loads(step.read_text()), key: value}))
    assert not is_current(step, SETTINGS)
    assert [path for path, _ in damage(step)] == [step]


def test_other_files_beside_receipts_are_none(step):
    (step.parent / "my_list.json").write_text("[]")
    assert receipts_in(step.parents[1]) == [step]


def test_a_receipt_that_cannot_be_read_is_not_damaged(step):
    step.unlink()
    step.mkdir()
    with pytest.raises(UnreadableError, match="left unchanged"):
        damage(step)


def test_a_step_may_read_results_of_a_dataset_beside_its_own(tmp_path):
    read, drawn = tmp_path / "q/records.tsv", tmp_path / "p/m/figures/map.png"
    for path in (read, drawn):
        path.parent.mkdir(parents=True)
        path.write_text(path.name)
    write_receipt(receipt_path(tmp_path / "q", "normalize"), {}, [read])
    receipt = receipt_path(tmp_path / "p", "draw-m")
    with recording(receipt, {}, [drawn], reads=[read]):
        pass
    assert is_current(receipt, {})
    read.write_text("other")
    write_receipt(receipt_path(tmp_path / "q", "normalize"), {}, [read])
    assert not is_current(receipt, {})
    for name in ("../../x/records.tsv", "..", "/q/records.tsv"):
        receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "reads": {name: "0"}}))
        with pytest.raises(StoreError, match="is not a file inside"):
            recorded_outputs(receipt)


def test_a_step_that_reads_an_output_compares_it(step):
    text, other, _ = outputs_of(step)
    assert require_unchanged([text, other]) == {text: sha256_of(text), other: sha256_of(other)}
    text.write_text("test")
    require_unchanged([other])
    with pytest.raises(StoreError, match=r"records\.tsv: its content has changed\. Run `snakemake verify`"):
        require_unchanged([other, text])
    with pytest.raises(StoreError, match="no receipt has"):
        require_unchanged([step])
    step.unlink()
    with pytest.raises(StoreError, match="no receipt has"):
        require_unchanged([other])


def test_a_step_runs_again_for_another_state_of_what_it_read(step):
    text, *_ = outputs_of(step)
    drawn, receipt = step.parents[1] / "m/figures/drawn.png", receipt_path(step.parents[1], "draw-m")
    drawn.parent.mkdir(parents=True)
    with recording(receipt, {}, [drawn], reads=[text]):
        drawn.write_text("drawn")
    assert is_current(receipt, {})
    text.write_text("other text")
    # Of what was read, only the receipt counts: the file itself is for the job that reads it, or for `verify`.
    assert is_current(receipt, {})
    with pytest.raises(StoreError, match="10 bytes, expected 4"), recording(receipt, {}, [drawn], reads=[text]):
        pass
    assert is_current(receipt, {})
    with recording(step, SETTINGS, [text]):
        pass
    assert not is_current(receipt, {})


def test_a_file_missing_in_a_folder_is_noticed_and_a_hidden_one_is_not(step):
    folder = outputs_of(step)[2]
    with recording(step, SETTINGS, [folder]):
        (folder / "in").mkdir()
        (folder / "in/a.fasta").touch()
        (folder / ".b.fasta.part").touch()
    (folder / ".b.fasta.part").unlink()
    assert is_current(step, SETTINGS)
    (folder / "in/a.fasta").unlink()
    assert not is_current(step, SETTINGS)


def test_all_checksums_are_a_list_for_sha256sum(step):
    results = step.parents[2]
    (results / "SHA256SUMS").write_text(as_list(results, ["d", "without-results"]))
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    said = subprocess.run(check, cwd=results, check=True, capture_output=True, text=True).stdout
    assert said == "d/records.tsv: OK\nd/sequences/b c.txt: OK\n"
