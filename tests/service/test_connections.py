"""Limits on connections before a token is checked: sizes, counts and times of requests, and how many there may be."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.server import middleware
from airflow_provider_partition_registry.server.processes import connections
from airflow_provider_partition_registry.server.processes.connections import LARGEST_HEAD, MOST_HEADERS
from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from tests.service.calling import caller, served, sqlite_at
from tests.service.conftest import MIDNIGHT, ONE, wait_for_waiting

START = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = START + b"\r\n"
SENT_WITHOUT_END = 64 * 1024 * 1024  # bytes: no server reads this many
SOON = 0.3  # seconds
WHEN = {"start": MIDNIGHT, "end": ONE}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(sqlite_at(tmp_path_factory.mktemp("connections")), is_open=True) as (http, store):
        store.register_source("s", "ann")
        yield http


@pytest.fixture
def connection(http: httpx.Client) -> Iterator[socket.socket]:
    with connect(http.base_url.port) as connection:
        yield connection


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT", SOON)
    monkeypatch.setattr(connections, "BODY_TIMEOUT", SOON)


def connect(port: int | None, source: str = "127.0.0.1") -> socket.socket:
    assert port
    return socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))


def answer_to(connection: socket.socket, *parts: bytes) -> str:
    """The status line of the response; empty if the connection is closed without one."""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            connection.sendall(part)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while not is_whole(received) and (part := connection.recv(65_536)):
            received += part
    return received.decode().partition("\r\n")[0]


def is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(end) and (length is None or len(body) == int(length[1]))


def is_closed(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65_536):
            pass
    return True


class TestSize:
    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param([START, b"X: ", b"x" * LARGEST_HEAD], id="a header without end"),
            pytest.param([START, b"X: ", b"x" * LARGEST_HEAD, b"\r\n\r\n"], id="a header too long"),
            pytest.param([b"GET /", b"x" * LARGEST_HEAD], id="a path without end"),
            pytest.param([b"GET /?" + b"x" * LARGEST_HEAD + b" HTTP/1.1\r\n\r\n"], id="a query too long"),
            pytest.param([START, b"X: y\r\n" * 2 * MOST_HEADERS], id="headers without end"),
            pytest.param([START + b"X: y\r\n" * MOST_HEADERS + b"\r\n"], id="too many headers"),
            pytest.param([b"\r\n" * LARGEST_HEAD], id="lines that are empty"),
        ],
    )
    def test_too_large_a_head(self, connection: socket.socket, parts: list[bytes]) -> None:
        assert answer_to(connection, *parts) == "HTTP/1.1 431 Request Header Fields Too Large"
        assert is_closed(connection)

    def test_a_head_that_is_just_not_too_large(self, connection: socket.socket) -> None:
        long = b"X: " + b"x" * (LARGEST_HEAD - 1_000) + b"\r\n"
        many = b"X: y\r\n" * (MOST_HEADERS - 2)
        for _ in range(3):  # each request is counted by itself
            assert answer_to(connection, START, long, many, b"\r\n") == "HTTP/1.1 200 OK"

    def test_what_has_no_end_is_not_read_for_long(self, connection: socket.socket) -> None:
        part = b"x" * 65_536
        pieces = [START, b"X: ", *repeat(part, SENT_WITHOUT_END // len(part))]
        with pytest.raises(ConnectionError):
            connection.sendall(b"".join(pieces))

    def test_headers_after_a_body_without_end(self, connection: socket.socket) -> None:
        chunked = b"POST /api/v1/readiness HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer_to(connection, chunked, b"2\r\n{}\r\n0\r\nX: ", *repeat(b"x" * 65_536, 100))
        assert is_closed(connection)

    def test_no_http_at_all(self, connection: socket.socket) -> None:
        assert answer_to(connection, b"\x16\x03\x01 hello\r\n\r\n") == "HTTP/1.1 400 Bad Request"

    def test_what_asks_for_another_protocol_is_served_in_this_one(self, connection: socket.socket) -> None:
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"
        assert answer_to(connection, START, upgrade) == "HTTP/1.1 200 OK"

    def test_the_log_mentions_it_once(
        self, http: httpx.Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections.seldom, "_kinds", {})
        for _ in range(20):
            with connect(http.base_url.port) as connection:
                assert "431" in answer_to(connection, START, b"X: y\r\n" * 2 * MOST_HEADERS)
        told = [each.getMessage() for each in caplog.records if each.name == connections.__name__]
        assert len(told) == 1
        assert "Refused a request of 127.0.0.1: A request's first line and headers have at most" in told[0]
        assert connections.seldom._kinds.popitem()[1][1] == 19


@pytest.mark.usefixtures("impatient")
class TestTime:
    def test_a_head_that_does_not_arrive(self, http: httpx.Client) -> None:
        with connect(http.base_url.port) as connection:
            assert answer_to(connection, START) == "HTTP/1.1 408 Request Timeout"
            assert is_closed(connection)

    def test_a_connection_that_sends_nothing_is_closed(self, http: httpx.Client) -> None:
        with connect(http.base_url.port) as connection:
            assert answer_to(connection) == ""

    @pytest.mark.parametrize("rest", [START, b"\r\n"])
    def test_a_second_head_that_does_not_arrive(self, http: httpx.Client, rest: bytes) -> None:
        with connect(http.base_url.port) as connection:
            assert answer_to(connection, WHOLE) == "HTTP/1.1 200 OK"
            answer_to(connection, rest)
            assert is_closed(connection)

    def test_a_head_that_arrives_byte_by_byte_times_out(self, http: httpx.Client) -> None:
        """Each part arrives in time, but the whole head would never be complete."""
        with connect(http.base_url.port) as connection:
            assert trickle(connection, START + b"X: ").startswith(b"HTTP/1.1 408 ")

    def test_a_body_that_arrives_byte_by_byte_times_out(
        self, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(middleware, "BODY_TIMEOUT", SOON)
        monkeypatch.setattr(connections, "BODY_TIMEOUT", 60.0)
        head = b"POST /api/v1/readiness HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with connect(http.base_url.port) as connection:
            answer = trickle(connection, head + b"Content-Length: 100000\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 408 ")

    def test_a_body_that_nobody_reads(self, http: httpx.Client) -> None:
        with connect(http.base_url.port) as connection:
            answer = answer_to(connection, START, b"Content-Length: 100000\r\n\r\n")
            assert answer == "HTTP/1.1 200 OK"
            assert is_closed(connection)

    def test_a_waiting_request_is_not_timed_out(self, http: httpx.Client) -> None:
        question: dict[str, Any] = {"source_name": "s", **WHEN, "wait_seconds": 4 * SOON}
        answer = http.get("/api/v1/readiness", params=question)
        assert answer.json()["is_ready"] is False


def trickle(connection: socket.socket, head: bytes) -> bytes:
    """Send one byte after another, each in time, until there is a response."""
    connection.sendall(head)
    connection.settimeout(SOON / 10)
    while True:
        try:
            return connection.recv(1_000)
        except TimeoutError:
            connection.sendall(b"x")


class TestNumber:
    def serve(self, url: str, limits: str) -> ServiceProcess:
        """A service whose limits on descriptors are set by these arguments of ``ulimit``."""
        service = ServiceProcess(url, "--open")
        service.process.command = ["sh", "-c", f'{limits}; exec "$@"', "sh", *service.process.command]
        return service

    def test_descriptors_are_as_many_as_the_system_allows(self, migrated_sqlite_url: str) -> None:
        with self.serve(migrated_sqlite_url, "ulimit -Sn 64; ulimit -Hn 600") as service:
            limits = Path(f"/proc/{service.process.pid}/limits").read_text()
            (line,) = [each for each in limits.splitlines() if each.startswith("Max open files")]
            assert line.split()[3:5] == ["600", "600"]

    def test_a_crowd_that_sends_half_requests_shuts_out_nobody_else(self, migrated_sqlite_url: str) -> None:
        with (
            self.serve(migrated_sqlite_url, "ulimit -Sn 256; ulimit -Hn 256") as service,
            caller(service.url) as http,
            caller(service.url) as waiting,
            ExitStack() as crowd,
        ):
            source = {"source_name": "s", "owner": "ann"}
            assert http.post("/api/v1/sources", json=source).status_code == 201
            with connect(service.port) as kept, waiting.stream("GET", "/api/v1/events/stream") as stream:
                assert answer_to(kept, WHOLE) == "HTTP/1.1 200 OK"
                wait_for_waiting(http, "stream")
                for _ in range(400):
                    half = crowd.enter_context(connect(service.port, "127.0.0.2"))
                    with contextlib.suppress(ConnectionError):
                        half.sendall(START)
                assert answer_to(kept, WHOLE) == "HTTP/1.1 200 OK"
                with caller(service.url) as newcomer:
                    assert newcomer.get("/readyz").status_code == 200
                newer = {"source_name": "newer", "owner": "ann"}
                assert http.post("/api/v1/sources", json=newer).status_code == 201
                assert any("SOURCE_REGISTERED" in line for line in stream.iter_lines())
            assert "There are more than 128 connections: hung up on some of 127.0.0.2" in service.log_text

    def test_newcomers_are_refused_when_all_connections_are_busy(
        self, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ExitStack() as busy:
            stream = b"GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
            wait_for_waiting(http, "stream", 0)
            for _ in range(5):
                assert "200" in answer_to(busy.enter_context(connect(http.base_url.port)), stream)
            monkeypatch.setattr(connections, "most_connections", lambda: 4)
            # Idle connections of the tests are closed first.
            wait_until(
                lambda: self.ask(http) == "HTTP/1.1 503 Service Unavailable", what="a refusal", timeout=60
            )

    def ask(self, http: httpx.Client) -> str:
        with connect(http.base_url.port) as newcomer:
            return answer_to(newcomer, WHOLE)


def test_descriptors_decide_how_many_connections_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, most in ((256, 128), (100, 50), (1_000_000, 20_000), (-1, 20_000)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert connections.most_connections() == most
