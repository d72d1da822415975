"""What goes wrong while a checkpoint is fetched from a server: nothing is lost, nothing wrong is kept."""

from __future__ import annotations

import json
import re
import subprocess
import time

import loopback
import pytest
from fetching_cases import (
    CONFIG,
    QUICK,
    WEIGHTS,
    after_config,
    assert_complete,
    assert_incomplete,
    fetching_process,
    place,
    ranges,
    run,
    state_dict,
    wait_until,
)

from lucaflow.checkpoints.download import NotOnServer, RetryPolicy
from lucaflow.checkpoints.fetched_record import FETCHED_RECORD, SUMS_NAME, read_sums
from lucaflow.checkpoints.fetching import fetch
from lucaflow.checkpoints.registry import Place
from lucaflow.errors import CheckpointError


def test_a_good_server_and_a_second_run(server, tmp_path, caplog):
    run(server, tmp_path / "a")
    assert_complete(tmp_path / "a")
    assert "plain HTTP" in caplog.text
    assert "No checksum is published for pytorch.pth" in caplog.text
    asked = len(server.asked)
    run(server, tmp_path / "a")
    assert len(server.asked) == asked
    checked = subprocess.run(["sha256sum", "--check", SUMS_NAME], cwd=tmp_path / "a", check=True, capture_output=True)
    assert checked.stdout.count(b"OK") == 2


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.9])
def test_cut_off_and_resumed(server, tmp_path, fraction):
    after_config(server, loopback.cut(fraction))
    run(server, tmp_path)
    assert_complete(tmp_path)
    first, *others = ranges(server)
    assert (first, len(others)) == (None, 1)
    came = fraction * len(WEIGHTS)
    resumed_at = int(others[0][6:-1]) if others[0] else 0
    assert came - 65536 <= resumed_at <= came


def test_cut_off_more_often_than_there_are_attempts_but_always_with_something_new(server, tmp_path):
    def a_bit_more(answer, content):
        start = int((answer.headers.get("Range") or "bytes=0-")[6:-1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.begin(206 if start else 200, len(content) - start, content, **({"Content_Range": span} if start else {}))
        answer.wfile.write(content[start : start + (5 << 18)])
        answer.close_connection = True

    weights = server.files["/new/pytorch.pth"] = state_dict(8)
    after_config(server, *[a_bit_more] * 5)
    run(server, tmp_path)
    assert_complete(tmp_path, weights)
    assert len(ranges(server)) > QUICK.attempts


def test_killed_and_resumed_by_the_next_run(server, tmp_path):
    after_config(server, loopback.stall(0.5))
    process = fetching_process(server, tmp_path)
    part = tmp_path / ".pytorch.pth.download"
    wait_until(lambda: part.is_file() and part.stat().st_size >= 1 << 20)
    process.kill()
    process.wait()
    assert_incomplete(tmp_path)
    came = part.stat().st_size
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert ranges(server) == [None, f"bytes={came}-"]


def test_killed_after_the_last_byte(server, tmp_path):
    run(server, tmp_path)
    (tmp_path / "pytorch.pth").rename(tmp_path / ".pytorch.pth.download")
    url = f"{server.address}/new/pytorch.pth"
    version = {"url": url, "total": len(WEIGHTS), "etag": '"x"', "last_modified": None}
    (tmp_path / ".pytorch.pth.download.json").write_text(json.dumps(version))
    server.asked.clear()
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert not ranges(server)


def test_a_server_that_never_sends_all(server, tmp_path):
    after_config(server, *[loopback.cut(0.1)] * 9)
    words = r"3 attempts in a row brought no new data, .* was lost.* kept\. Run again"
    with pytest.raises(CheckpointError, match=words):
        run(server, tmp_path)
    assert_incomplete(tmp_path)
    server.faults.clear()
    run(server, tmp_path)
    assert_complete(tmp_path)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (len(WEIGHTS) - 1, rf"more than the 4.2 MB \({len(WEIGHTS) - 1} bytes\) that it must have"),
        (len(WEIGHTS) + 1, f"received {len(WEIGHTS)} bytes, expected {len(WEIGHTS) + 1}"),
    ],
)
def test_another_length_than_is_published(server, tmp_path, size, words):
    with pytest.raises(CheckpointError, match=words):
        run(server, tmp_path, bytes=size)
    assert_incomplete(tmp_path)
    assert not list(tmp_path.glob(".*.download*"))


def test_the_whole_file_instead_of_the_rest(server, tmp_path):
    after_config(server, loopback.cut(0.3), loopback.whole_file)
    run(server, tmp_path)
    assert_complete(tmp_path)


@pytest.mark.parametrize("honest", [True, False], ids=["a server that says so", "a server that ignores If-Range"])
def test_a_file_that_changes_between_two_attempts(server, tmp_path, honest):
    newer = state_dict(4, seed=1)

    def cut_then_change(answer, content):
        loopback.cut(0.5)(answer, content)
        server.files["/new/pytorch.pth"] = newer

    def rest_of_another(answer, content):
        start = int(answer.headers["Range"][6:-1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.begin(206, len(content) - start, content, Content_Range=span)
        answer.wfile.write(content[start:])

    after_config(server, cut_then_change, *([] if honest else [rest_of_another]))
    run(server, tmp_path)
    assert_complete(tmp_path, newer)


def test_another_file_of_the_same_length_and_only_a_date_to_tell(server, tmp_path):
    """The server knows no tags and ignores If-Range: the date of the rest is all there is."""
    newer = state_dict(4, seed=1)
    server.with_etag = False
    path = "/new/pytorch.pth"
    server.headers[path] = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}

    def cut_then_change(answer, content):
        loopback.cut(0.5)(answer, content)
        server.files[path] = newer
        server.headers[path] = {"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}

    def rest_of_another(answer, content):
        start = int(answer.headers["Range"][6:-1])
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.begin(206, len(content) - start, content, Content_Range=span)
        answer.wfile.write(content[start:])

    after_config(server, cut_then_change, rest_of_another)
    run(server, tmp_path)
    assert_complete(tmp_path, newer)


def test_without_any_sign_of_the_version_it_begins_anew(server, tmp_path):
    server.with_etag = False
    after_config(server, loopback.cut(0.5))
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert ranges(server) == [None, None]


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_login_page(server, tmp_path, kind):
    after_config(server, loopback.page(kind))
    with pytest.raises(CheckpointError, match=r"web page.*a login or a proxy may be needed"):
        run(server, tmp_path)
    assert_incomplete(tmp_path)
    assert not list(tmp_path.glob(".*.download*"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("pytorch.pth", b"error: quota exceeded", "unlike any file written by torch"),
        ("config.json", b'{"hidden_size": 8', "config.json is not a valid .json file"),
    ],
)
def test_content_that_cannot_be_right(server, tmp_path, name, content, words):
    server.files[f"/new/{name}"] = content
    with pytest.raises(CheckpointError, match=words):
        run(server, tmp_path)
    assert_incomplete(tmp_path)


def test_a_file_that_is_not_there(server, tmp_path):
    del server.files["/new/pytorch.pth"]
    with pytest.raises(NotOnServer, match=r"new/pytorch.pth: the server has no such file \(404"):
        run(server, tmp_path)
    assert_incomplete(tmp_path)
    assert len(ranges(server)) == 1


def test_an_older_place_is_asked_and_named(server, tmp_path, caplog):
    server.files = {path.replace("/new/", "/old/"): content for path, content in server.files.items()}
    fetch([place(server), place(server, "old")], tmp_path, retries=QUICK)
    assert_complete(tmp_path)
    assert "new/config.json: the server has no such file (404 Not Found). Trying the next place." in caplog.text
    assert json.loads((tmp_path / FETCHED_RECORD).read_text())["address"] == f"{server.address}/old"


def test_what_came_from_one_place_is_not_mixed_with_another(server, tmp_path):
    """The newer place has another configuration, and loses the weights in the middle."""
    server.files = {path.replace("/new/", "/old/"): content for path, content in server.files.items()}
    server.files["/new/config.json"] = b'{"hidden_size": 16}'
    server.files["/new/pytorch.pth"] = state_dict(4, seed=1)

    def cut_then_lose(answer, content):
        loopback.cut(0.5)(answer, content)
        del server.files["/new/pytorch.pth"]

    after_config(server, cut_then_lose)
    fetch([place(server), place(server, "old")], tmp_path, retries=QUICK)
    assert_complete(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == CONFIG


def test_a_server_that_always_begins_anew_and_never_ends(server, tmp_path):
    after_config(server, *[loopback.cut(0.5)] * 50)
    server.with_etag = False
    with pytest.raises(CheckpointError, match="3 attempts in a row brought no new data"):
        run(server, tmp_path)
    assert len(ranges(server)) == 1 + QUICK.attempts


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_server_that_does_not_say_how_long_the_file_is(server, tmp_path, share):
    def endless(answer, content):
        answer.send_response(200)
        answer.send_header("Connection", "close")
        answer.end_headers()
        answer.wfile.write(content[: int(share * len(content))])
        answer.close_connection = True

    after_config(server, endless)
    if share == 1:
        run(server, tmp_path)
        assert_complete(tmp_path)
    else:
        with pytest.raises(CheckpointError, match=r"pytorch.pth is not a valid .pth file \(the end of the archive"):
            run(server, tmp_path)
        assert_incomplete(tmp_path)
        assert "pytorch.pth" not in read_sums(tmp_path)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_a_login_page_in_the_middle_costs_nothing(server, tmp_path, kind):
    after_config(server, loopback.cut(0.5), loopback.page(kind))
    with pytest.raises(CheckpointError, match="web page"):
        run(server, tmp_path)
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert ranges(server)[-1] is not None


@pytest.mark.parametrize("length", ["abc", "-5"])
def test_a_length_that_is_none(server, tmp_path, length):
    def answer_oddly(answer, content):
        answer.send_response(200)
        answer.send_header("Content-Length", length)
        answer.end_headers()
        answer.wfile.write(content)
        answer.close_connection = True

    after_config(server, *[answer_oddly] * 5)
    try:
        run(server, tmp_path)
    except CheckpointError:
        assert_incomplete(tmp_path)
    else:
        assert_complete(tmp_path)


def test_an_address_that_leads_nowhere(server, tmp_path):
    after_config(server, loopback.status(302, Location="http://[bad"))
    with pytest.raises(CheckpointError, match="the server redirects to an invalid address"):
        run(server, tmp_path)
    assert_incomplete(tmp_path)


def test_a_configuration_without_end(server, tmp_path):
    server.files["/new/config.json"] = b"[" * 100_000
    with pytest.raises(CheckpointError, match=r"config.json is not a valid .json file"):
        run(server, tmp_path)


def test_a_file_where_the_folder_should_be(server, tmp_path):
    (tmp_path / "folder").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        run(server, tmp_path / "folder")


def test_a_server_says_how_long_to_wait(server, tmp_path, caplog):
    after_config(server, loopback.status(503, Retry_After="2"))
    retries = RetryPolicy(connect_timeout=2, read_timeout=0.5, attempts=3, first_pause=0.01, longest_pause=60)
    started = time.monotonic()
    fetch([place(server)], tmp_path, retries=retries)
    assert time.monotonic() - started >= 2
    assert "Trying again in 2 s" in caplog.text


def test_a_refusal_is_not_asked_again(server, tmp_path):
    after_config(server, loopback.status(403))
    with pytest.raises(CheckpointError, match="the server answers 403"):
        run(server, tmp_path)
    assert len(ranges(server)) == 1


def test_busy_twice_then_good(server, tmp_path, caplog):
    after_config(server, loopback.status(503), loopback.status(503))
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert caplog.text.count("503 Service Unavailable") == 2


def test_busy_for_good(server, tmp_path):
    after_config(server, *[loopback.status(503)] * 3)
    with pytest.raises(CheckpointError, match="3 attempts in a row brought no new data"):
        run(server, tmp_path)


def test_a_stalled_connection(server, tmp_path, caplog):
    after_config(server, loopback.stall(0.1))
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert "the connection stalled" in caplog.text


def test_nobody_listens(tmp_path):
    with loopback.serving() as server:
        gone = place(server)
    with pytest.raises(CheckpointError, match="3 attempts in a row brought no new data"):
        fetch([gone], tmp_path, retries=QUICK)


def test_a_mirror_stands_for_the_server(server, tmp_path):
    elsewhere = Place("lucaone-1", "server", "http://192.0.2.1/lucaone/new", place(server).files)
    fetch([elsewhere], tmp_path, server=f"{server.address}/", retries=QUICK)
    assert_complete(tmp_path)


def test_two_runs_at_once(server, tmp_path):
    def slowly(answer, content):
        time.sleep(1)
        answer.give(content)

    server.faults = [slowly, slowly]
    processes = [fetching_process(server, tmp_path) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert_complete(tmp_path)
    assert len(server.asked) == 2
    assert sum(bool(re.search("Another run is fetching lucaone-1 .*; waiting", text)) for text in said) == 1
