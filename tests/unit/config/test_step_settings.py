"""Settings files: their names hold a digest, and each replaces the one before it."""

from pathlib import Path

from lucaflow.config.step_settings import recorded_origin, settings_name, settings_path, write_settings
from lucaflow.files.json_files import digest_of_settings


def test_settings_replace_the_ones_before(tmp_path):
    first, second = {"a": 1, "b": 2}, {"a": 2}
    assert digest_of_settings(first) == digest_of_settings({"b": 2, "a": 1})
    for settings in (first, second):
        write_settings(tmp_path / f"{settings_name('step', settings)}.json", "step", settings)
        write_settings(tmp_path / f"{settings_name('step-two', settings)}.json", "step-two", settings)
    kept = {f"{settings_name(step, second)}.json" for step in ("step", "step-two")}
    assert {path.name for path in tmp_path.iterdir()} == kept | {f".{name}.sha256" for name in kept}


def test_an_origin_that_cannot_be_read_is_none(tmp_path):
    assert recorded_origin(tmp_path) is None
    path = settings_path(tmp_path, "origin", {"files": {"a": 1}})
    (tmp_path / "settings").mkdir()
    write_settings(Path(path), "origin", {"files": {"a": 1}})
    assert recorded_origin(tmp_path) == {"files": {"a": 1}}
    Path(path).write_text("{")
    assert recorded_origin(tmp_path) is None
