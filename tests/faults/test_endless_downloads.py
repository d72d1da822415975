"""A server that sends without an end, or hardly anything: a download ends, and says why."""

from __future__ import annotations

import hashlib
import time

import pytest
from fetching_cases import QUICK, WEIGHTS, after_config, assert_complete, assert_incomplete, run

from lucaflow.checkpoints import download, hub
from lucaflow.checkpoints.fetching import fetch
from lucaflow.checkpoints.registry import Place, PublishedFile
from lucaflow.errors import CheckpointError

BLOCK = b"40000\r\n" + bytes(0x40000) + b"\r\n"


def endless(answer, status=200, **headers):
    """Send a body in chunks until the client goes."""
    answer.send_response(status)
    for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
        answer.send_header(name, value)
    answer.end_headers()
    answer.wfile.write(b"4\r\nPK\x03\x04\r\n")
    while not answer.server.ended.is_set():
        answer.wfile.write(BLOCK)


def dripping(answer, text, seconds=0.02):
    """Send text byte by byte, much faster than what counts as a stall from one byte to the next."""
    for byte in text:
        answer.wfile.write(bytes([byte]))
        answer.wfile.flush()
        if answer.server.ended.wait(seconds):
            break


def drip_body(answer, content):
    answer.begin(200, len(content), content)
    dripping(answer, content)


def drip_headers(answer, _):
    dripping(answer, b"HTTP/1.1 200 OK\r\n" + b"X-Some: 1\r\n" * 10_000)


def drip_length_of_chunk(answer, _):
    answer.send_response(200)
    answer.send_header("Transfer-Encoding", "chunked")
    answer.end_headers()
    dripping(answer, b"4;" + b"x" * 60_000)


def test_longer_than_the_published_size(server, tmp_path):
    after_config(server, lambda answer, _: endless(answer))
    with pytest.raises(
        CheckpointError, match=rf"pytorch.pth: the server sends more than .* \({len(WEIGHTS)} bytes\) tha"
    ):
        run(server, tmp_path, bytes=len(WEIGHTS))
    assert_incomplete(tmp_path)
    assert not list(tmp_path.glob(".*.download*"))


def test_longer_than_the_length_in_the_headers(server, tmp_path):
    """The length of an answer in chunks is what its last chunk makes it; the header is only read."""
    after_config(server, lambda answer, _: endless(answer, **{"Content-Length": "1000000"}))
    with pytest.raises(
        CheckpointError, match=r"more than the 1 MB \(1000000 bytes\) that it must have. Nothing was kept"
    ):
        run(server, tmp_path)
    assert not list(tmp_path.glob(".*.download*"))


@pytest.mark.parametrize("limit", ["the kind of file", "the disk"])
def test_without_a_known_size(server, tmp_path, monkeypatch, limit):
    if limit == "the disk":
        monkeypatch.setattr(download, "_SHARE_OF_ROOM", 1e-9)
        words = r"that the disk of .* can spare, and it does not say how long the file is"
    else:
        monkeypatch.setattr(download, "LONGEST_WEIGHTS", 9_000_000)
        words = r"more than the 9 MB \(9000000 bytes\) that such a file can have, and it does not say how long"
    after_config(server, lambda answer, _: endless(answer))
    with pytest.raises(CheckpointError, match=words):
        run(server, tmp_path)
    assert_incomplete(tmp_path)
    assert not list(tmp_path.glob(".*.download*"))


def test_an_answer_without_end_that_leads_elsewhere(server, tmp_path):
    """It is not read."""
    after_config(server, lambda answer, _: endless(answer, 302, Location="/new/elsewhere.pth"))
    server.files["/new/elsewhere.pth"] = WEIGHTS
    run(server, tmp_path)
    assert_complete(tmp_path)


def test_longer_than_the_list_of_a_repository_says(server, tmp_path, monkeypatch):
    """The library for the Hub compares sizes only at the end."""
    name, commit = "model.safetensors", "0" * 40
    path = f"/some/model/resolve/{commit}/{name}"
    server.files[path] = WEIGHTS
    server.headers[path] = {"X-Repo-Commit": commit, "ETag": f'"{"0" * 64}"', "X-Linked-Size": str(len(WEIGHTS))}
    monkeypatch.setattr(hub.constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    server.faults = [lambda answer, _: endless(answer)]
    file = hub.HubFile(name, len(WEIGHTS), "0" * 64, "")
    with pytest.raises(CheckpointError, match=rf"{name}: the server sends more than the {len(WEIGHTS)} bytes"):
        hub.fetch_file(hub.Repository("some/model", commit, (file,)), file, tmp_path, QUICK)
    assert not server.faults
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("drip", [drip_body, drip_headers, drip_length_of_chunk])
def test_a_byte_now_and_then_is_a_stall(server, tmp_path, caplog, drip):
    after_config(server, *[drip] * 3)
    started = time.monotonic()
    with pytest.raises(
        CheckpointError, match=r"3 attempts in a row brought no new data, or less than 60 kB; .*stalled"
    ):
        run(server, tmp_path)
    assert time.monotonic() - started < 20
    assert caplog.text.count("the connection stalled (in 0.5 s came nothing, or less than 60 kB)") == 2
    run(server, tmp_path)
    assert_complete(tmp_path)


def test_a_slow_beginning_is_none(server, tmp_path):
    """The wait for the first byte has a timeout of its own."""

    def late(answer, content):
        time.sleep(0.9 * QUICK.read_timeout)
        answer.begin(200, len(content), content)
        time.sleep(0.3 * QUICK.read_timeout)
        answer.wfile.write(content)

    after_config(server, late)
    run(server, tmp_path)
    assert_complete(tmp_path)
    assert len(server.asked) == 2


@pytest.mark.parametrize("published", [True, False])
def test_another_sha256_says_what_to_do(server, tmp_path, published):
    """The file of a downstream model is in a subfolder; SHA256SUMS is not."""
    name, digest = "models/a/b/config.json", hashlib.sha256(b"{}").hexdigest()
    server.files[f"/new/{name}"] = b'{"x": 1}'
    files = (PublishedFile(name, sha256=digest if published else None),)
    if not published:
        (tmp_path / "SHA256SUMS").write_text(f"{digest}  {name}\n")
    words = "set checkpoints.server to another mirror" if published else f"delete {tmp_path}, whose SHA256SUMS has"
    with pytest.raises(CheckpointError, match=rf"expected {digest}.*{words}"):
        fetch([Place("task T", "server", f"{server.address}/new", files)], tmp_path, retries=QUICK)
