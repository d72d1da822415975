import pytest

from lucaflow.errors import StoreError
from lucaflow.files.json_files import digest_of_settings, parse_json, read_json
from lucaflow.files.writing import write_json


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "about.json"
    write_json(path, {"name": "Ångström", "count": 3})
    assert read_json(path) == {"name": "Ångström", "count": 3}
    assert path.read_bytes().isascii()


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}x', b"\xff", b"[" * 100_000])
def test_damage_is_an_error_that_says_what_to_do(tmp_path, content):
    path = tmp_path / "about.json"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"about\.json is damaged: not valid JSON .* Run `snakemake verify`"):
        read_json(path)
    with pytest.raises(ValueError):
        parse_json(path)


def test_the_order_of_settings_does_not_matter():
    assert digest_of_settings({"a": 1, "b": [2]}) == digest_of_settings({"b": [2], "a": 1})
    assert digest_of_settings({"a": 1}) != digest_of_settings({"a": "1"})
