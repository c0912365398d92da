"""An HTTP client that costs almost nothing, so that the service is measured."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

HEAD_END = b"\r\n\r\n"
OK = (b"HTTP/1.1 200", b"HTTP/1.1 201")


def get(path: str, params: Mapping[str, Any] | None = None) -> bytes:
    """A request, ready to be sent."""
    target = f"{path}?{urlencode(params)}" if params else path
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: Any, token: str = "") -> bytes:
    """A request with a JSON body, ready to be sent."""
    content = json.dumps(body).encode()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Connection:
    """One keep-alive connection, for the length of a ``with`` block."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> bytes:
        """Send a request, and return the body of the response, which must be a success."""
        self.socket.sendall(request)
        while not (answer := self.receive()):
            pass
        return answer

    def receive(self) -> bytes:
        """The body of the response if all of it has arrived, otherwise nothing."""
        self._received += self.socket.recv(262_144)
        head, separator, body = self._received.partition(HEAD_END)
        if not separator or len(body) < _length(head):
            return b""
        if not head.startswith(OK):
            raise AssertionError(self._received.decode())
        self._received = b""
        return body


def rate(connections: Sequence[Connection], request: bytes, count: int) -> float:
    """Responses per second to this many requests, with one under way on every connection all the time."""
    with selectors.DefaultSelector() as selector:
        for each in connections:
            selector.register(each.socket, selectors.EVENT_READ, each)
        began = time.perf_counter()
        for each in connections:
            each.socket.sendall(request)
        to_send, to_come = count - len(connections), count
        while to_come:
            for key, _ in selector.select():
                if key.data.receive():
                    to_come -= 1
                    if to_send:
                        key.fileobj.sendall(request)  # type: ignore[union-attr]
                        to_send -= 1
        return count / (time.perf_counter() - began)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError(f"an answer of unknown length: {head!r}")
