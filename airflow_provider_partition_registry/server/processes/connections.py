"""Limits against slow or greedy clients (slowloris): size and time of a request's head, number of connections."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
from collections import Counter
from http import HTTPStatus
from typing import NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from airflow_provider_partition_registry.domain.errors import InvalidInputError, RegistryError
from airflow_provider_partition_registry.server.observing.logs import Seldom
from airflow_provider_partition_registry.store.wire.answers import error_to_data

seldom = Seldom(logging.getLogger(__name__))

LARGEST_HEAD = 32 * 1024  # bytes of a request without its body: its first line and its headers
MOST_HEADERS = 100
HEAD_TIMEOUT = 10.0  # seconds for a head to arrive; the first one is timed from connecting
BODY_TIMEOUT = 40.0  # seconds for a body; routes that read one give up earlier, and respond
MOST_CONNECTIONS = 20_000
RESERVED = 128  # descriptors for everything else: the database, logs, metrics


class Refusal(NamedTuple):
    """The response to a request that is not processed."""

    status: HTTPStatus
    error: RegistryError

    def as_bytes(self) -> bytes:
        """The response as it is sent; the connection is closed after it."""
        body = json.dumps(error_to_data(self.error)).encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        )
        retry = "Retry-After: 1\r\n" if self.status is HTTPStatus.SERVICE_UNAVAILABLE else ""
        return f"{head}{retry}\r\n".encode() + body


MALFORMED = Refusal(HTTPStatus.BAD_REQUEST, InvalidInputError("This is not an HTTP request."))
TOO_LARGE = Refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    InvalidInputError(
        f"A request's first line and headers have at most {LARGEST_HEAD} bytes, and {MOST_HEADERS} headers."
    ),
)
TOO_SLOW = Refusal(
    HTTPStatus.REQUEST_TIMEOUT,
    RegistryError(f"The request's first line and headers did not arrive within {HEAD_TIMEOUT:g} s."),
)
TOO_MANY = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    RegistryError("The service has reached its limit of connections. Try again later."),
)


def most_connections() -> int:
    """How many connections this process may have open."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(descriptors - RESERVED, descriptors // 2))


class LimitedProtocol(HttpToolsProtocol):
    """Reads requests within limits. uvicorn limits neither their heads nor incomplete requests.

    A request that arrives at once is not timed; it costs a few additions.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._besides_body = 0  # bytes since the last request, or part of a body, ended
        self._head_size = self._header_count = 0
        self._is_arriving = self._has_head = False
        self._refusal: Refusal | None = None
        self._idle_since = self.loop.time()
        self._timeout: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._set_timeout(HEAD_TIMEOUT)
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_timeout(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._besides_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # The request asks to switch to a protocol that we do not speak; it is served as plain HTTP.
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
            return
        if self._besides_body > LARGEST_HEAD:
            self._refuse(TOO_LARGE)
        else:
            self._set_timeout(self._timeout_now())

    def on_message_begin(self) -> None:
        self._head_size = self._header_count = 0
        self._is_arriving, self._has_head = True, False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._has_head, self._besides_body = True, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._besides_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_arriving, self._besides_body = False, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._idle_since = self.loop.time()
        super().on_response_complete()

    @property
    def _is_idle(self) -> bool:
        """Whether no response is under way on this connection."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_useless(self) -> bool:
        """Whether closing it harms nobody: it is idle, or has not sent a whole request."""
        return self._is_idle or self._is_arriving

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > LARGEST_HEAD or self._header_count > MOST_HEADERS:
            self._refusal = TOO_LARGE
            raise ValueError  # ends the parsing

    def _timeout_now(self) -> float | None:
        """How long the rest of a request may take; None if there is nothing to wait for."""
        if self._is_arriving and self._has_head:
            return BODY_TIMEOUT
        return HEAD_TIMEOUT if self._is_arriving or self._is_idle else None

    def _set_timeout(self, seconds: float | None) -> None:
        if seconds == self._timeout:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timeout = seconds
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        if not self._is_arriving:  # no request has begun
            self.transport.close()
        elif not self._has_head:
            self._refuse(TOO_SLOW)
        else:
            seldom.warn("Hung up on %s: the body of its request did not arrive in time.", self._address)
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        seldom.warn(f"Refused a request of %s: {refusal.error.message}", self._address)
        if self._is_idle:
            self.transport.write(refusal.as_bytes())
        self.transport.close()

    def _make_room(self) -> None:
        """If there are too many connections, close idle ones of the client address that has most of them."""
        most = most_connections()
        if len(self.connections) <= most:
            return
        others = [each for each in self.connections if isinstance(each, LimitedProtocol) and each is not self]
        useless = [each for each in others if each._is_useless]
        if not useless:
            seldom.warn(f"Refused a connection from %s: {TOO_MANY.error.message}", self._address)
            self.transport.write(TOO_MANY.as_bytes())
            self.transport.close()
            return
        ((address, _),) = Counter(each._address for each in useless).most_common(1)
        of_address = [each for each in useless if each._address == address]
        of_address.sort(key=lambda each: each._idle_since)
        # A few more than one, so that not every new connection causes a search.
        for each in of_address[: 1 + len(of_address) // 50]:
            each.transport.close()
            self.connections.discard(each)
        seldom.warn(
            f"There are more than {most} connections: hung up on some of %s, which had most of those "
            f"that sent no whole request.",
            address,
        )
