"""Settings files: their names hold a digest, and each replaces the one before it."""

from lucaflow.config.step_settings import settings_name, write_settings
from lucaflow.files.json_files import digest_of_settings


def test_settings_replace_the_ones_before(tmp_path):
    first, second = {"a": 1, "b": 2}, {"a": 2}
    assert digest_of_settings(first) == digest_of_settings({"b": 2, "a": 1})
    for settings in (first, second):
        write_settings(tmp_path / f"{settings_name('step', settings)}.json", "step", settings)
        write_settings(tmp_path / f"{settings_name('step-two', settings)}.json", "step-two", settings)
    kept = {f"{settings_name(step, second)}.json" for step in ("step", "step-two")}
    assert {path.name for path in tmp_path.iterdir()} == kept | {f".{name}.sha256" for name in kept}
