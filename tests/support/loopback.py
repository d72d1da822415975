"""An HTTP server on loopback that serves what it is given, with ranges, and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback(ThreadingHTTPServer):
    """files: by path; faults: what the next answers do instead, each once; asked: path and Range of each request;
    tokens: what clients identified themselves by."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.faults: list[Callable[[Answer, bytes], None]] = []
        self.asked: list[tuple[str, str | None]] = []
        self.tokens: set[str | None] = set()
        self.with_etag = True
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave in the middle are part of the tests."""


class Answer(BaseHTTPRequestHandler):
    """One answer."""

    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append((path, self.headers.get("Range")))
        self.server.tokens.add(self.headers.get("Authorization"))
        content = self.server.files.get(path)
        if content is None:
            self.miss()
        elif self.server.faults:
            self.server.faults.pop(0)(self, content)
        else:
            self.give(content)

    def do_HEAD(self) -> None:
        path = self.path.split("?")[0]
        content = self.server.files.get(path)
        if content is None:
            self.miss()
        else:
            self.begin(200, len(content), content)

    def miss(self) -> None:
        """Say that there is no such file; a Hub says in a header of its own what is missing."""
        code = (
            "RevisionNotFound"
            if "/revision/" in self.path
            else "RepoNotFound"
            if "/api/" in self.path
            else "EntryNotFound"
        )
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.send_header("X-Error-Code", code)
        self.end_headers()

    def begin(self, status: int, length: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        given = self.server.headers.get(self.path.split("?")[0], {})
        if self.server.with_etag and "ETag" not in given:
            self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        for name, value in {**given, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def give(self, content: bytes) -> None:
        """Serve as a good server does: the rest of the file if it is still the same one."""
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        same = self.headers.get("If-Range") in (None, f'"{hashlib.md5(content).hexdigest()}"')
        if span and same and int(span[1]) >= len(content):
            self.send_error(416)
        elif span and same:
            start = int(span[1])
            span_given = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.begin(206, len(content) - start, content, Content_Range=span_given)
            self.wfile.write(content[start:])
        else:
            self.begin(200, len(content), content)
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Tests look at `asked`."""


def cut(fraction: float) -> Callable[[Answer, bytes], None]:
    """Announce the whole file, and hang up in the middle."""

    def fault(answer: Answer, content: bytes) -> None:
        answer.begin(200, len(content), content)
        answer.wfile.write(content[: int(fraction * len(content))])
        answer.close_connection = True

    return fault


def stall(fraction: float) -> Callable[[Answer, bytes], None]:
    """Send no more after a part, and keep the connection."""

    def fault(answer: Answer, content: bytes) -> None:
        answer.begin(200, len(content), content)
        answer.wfile.write(content[: int(fraction * len(content))])
        answer.wfile.flush()
        answer.server.ended.wait(20)
        answer.close_connection = True

    return fault


def status(code: int, **headers: str) -> Callable[[Answer, bytes], None]:
    def fault(answer: Answer, content: bytes) -> None:
        answer.begin(code, 0, content, **headers)

    return fault


def whole_file(answer: Answer, content: bytes) -> None:
    """Ignore the range that was asked for."""
    answer.begin(200, len(content), content)
    answer.wfile.write(content)


def page(kind: str) -> Callable[[Answer, bytes], None]:
    """Send a login page, with status 200."""

    def fault(answer: Answer, _: bytes) -> None:
        text = b"<!doctype html><title>Log in</title>"
        answer.begin(200, len(text), text, Content_Type=kind)
        answer.wfile.write(text)

    return fault


@contextmanager
def serving() -> Iterator[Loopback]:
    server = Loopback()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
