"""An HTTP server on loopback that supports ranges, and misbehaves as a test demands."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Loopback(ThreadingHTTPServer):
    """A server of files by path. faults: functions that answer the next requests, one each; asked: path and Range of
    each request; tokens: the Authorization headers of all requests."""

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
        """Print nothing: tests interrupt clients on purpose."""


class Answer(BaseHTTPRequestHandler):
    """The answer to one request."""

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
        """Answer 404; the header X-Error-Code, as on a Hub, names the missing thing."""
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
        """Answer correctly: with the requested range if the file is unchanged, otherwise with the whole file."""
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
        """Print nothing: tests read `asked`."""


def cut(fraction: float) -> Callable[[Answer, bytes], None]:
    """Return a fault that announces the whole file and closes the connection after a fraction of it."""

    def fault(answer: Answer, content: bytes) -> None:
        answer.begin(200, len(content), content)
        answer.wfile.write(content[: int(fraction * len(content))])
        answer.close_connection = True

    return fault


def stall(fraction: float) -> Callable[[Answer, bytes], None]:
    """Return a fault that stops sending after a fraction of the file and keeps the connection open."""

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
    """Ignore the requested range and send the whole file."""
    answer.begin(200, len(content), content)
    answer.wfile.write(content)


def page(kind: str) -> Callable[[Answer, bytes], None]:
    """Return a fault that sends a login page with status 200. kind: its content type."""

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
