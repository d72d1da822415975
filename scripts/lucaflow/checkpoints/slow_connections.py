"""Break off a connection over which too little arrives.

The timeout of a library counts from one byte to the next, so a server that sends a byte a second would never time out.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPResponse
from typing import Any

from requests import Response, Session
from requests.adapters import HTTPAdapter


class _Watched(io.RawIOBase):
    """The bytes of an answer: its headers and its body. The wait for the first of them is not counted."""

    def __init__(self, raw: io.RawIOBase, seconds: float, least: int) -> None:
        self._raw, self._seconds, self._least = raw, seconds, least
        self._began = False
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: Any) -> int | None:
        """Read some bytes. Raises TimeoutError if fewer than the least have come in the seconds waited for them."""
        start = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - start if self._began else 0
        self._came += count or 0
        self._began = True
        if self._waited >= self._seconds:
            if count and self._came < self._least:
                raise TimeoutError(f"{self._came} bytes in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        return count


class _Adapter(HTTPAdapter):
    def __init__(self, seconds: float, least: int) -> None:
        self._limits = seconds, least
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return connections as requests does, with answers that are watched."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        limits, plain = self._limits, type(pool).ConnectionCls

        class WatchedResponse(HTTPResponse):
            def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
                super().__init__(sock, *args, **kwargs)
                self.fp = io.BufferedReader(_Watched(self.fp.detach(), *limits))

        pool.ConnectionCls = type("WatchedConnection", (plain,), {"response_class": WatchedResponse})
        return pool


def session(seconds: float, least: int) -> Session:
    """Return a session of requests in which less than `least` bytes in `seconds` count as a read that timed out.

    The body of an answer that leads elsewhere is not read; requests would read it, however long it is.
    """
    found = Session()
    for scheme in ("http://", "https://"):
        found.mount(scheme, _Adapter(seconds, least))
    found.hooks["response"].append(_close_redirect)
    return found


def _close_redirect(response: Response, **_: Any) -> None:
    if response.is_redirect:
        response.close()
