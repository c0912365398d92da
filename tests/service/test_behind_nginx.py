"""The nginx configuration in docs/how-to/tls.md, as it is written, in front of a service, with real TLS."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.middleware import LARGEST_BODY
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.nginx import nginx
from testbed.processes import free_port, wait_until
from testbed.service_process import ServiceProcess
from tests.contract.homes import hours
from tests.service.calling import ADMINISTRATOR_TOKEN, bearer, sqlite_at
from tests.service.conftest import QUESTION, client, events_of, wait_for_waiting

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "tls.md"
LIMIT = 3
SELF = "/api/v1/tokens/self"


@dataclass(frozen=True)
class Proxied:
    """A service, the address of the proxy in front of it, and the authority that certifies the proxy."""

    service: ServiceProcess
    url: str
    authority: Path

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """A client that calls from an address of this host."""
        trusting = ssl.create_default_context(cafile=self.authority)
        transport = httpx.HTTPTransport(verify=trusting, local_address=address)
        return httpx.Client(base_url=self.url, timeout=60, transport=transport)


def configuration(port: int, service_port: int, certificate: Path, key: Path) -> str:
    """The page's configuration, with our ports and files."""
    (server,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for theirs, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("http://127.0.0.1:5498", f"http://127.0.0.1:{service_port}"),
        ("/etc/ssl/registry.pem", str(certificate)),
        ("/etc/ssl/registry.key", str(key)),
    ):
        assert theirs in server
        server = server.replace(theirs, ours)
    return server


@pytest.fixture(scope="module")
def proxied(certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    options = ("--administrator-token", ADMINISTRATOR_TOKEN, "--wrong-tokens-per-minute", str(LIMIT))
    with ServiceProcess(sqlite_at(folder), *options) as service:
        port = free_port()
        proxied = Proxied(service, f"https://127.0.0.1:{port}", certificate[0])
        with (
            proxied.client() as http,
            nginx(configuration(port, service.port, *certificate), lambda: answers(http)),
        ):
            yield proxied


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="module")
def store(proxied: Proxied) -> Iterator[RegistryStore]:
    """The administrator's store, through nginx; it has source ``s`` with provider ``p``."""
    with open_store(
        proxied.url, access_token=ADMINISTRATOR_TOKEN, verify=str(proxied.authority)
    ) as administrator:
        administrator.register_provider("p", administrator.register_source("s", "ann").access_token)
        yield administrator


def publish(store: RegistryStore, hour: int) -> None:
    store.lock(PartitionKey("s", "p", hours(hour, hour + 1)), register=True)
    store.unlock(PartitionKey("s", "p", hours(hour, hour + 1)))


def test_the_store_calls_through_it(store: RegistryStore) -> None:
    publish(store, 10)
    assert store.check_readiness("s", hours(10, 11)).is_ready


def test_a_client_that_does_not_trust_its_authority_refuses(proxied: Proxied) -> None:
    with open_store(proxied.url) as stranger, pytest.raises(StoreRefusedError, match="cannot be trusted"):
        stranger.last_position()


def test_a_question_that_waits(proxied: Proxied, store: RegistryStore) -> None:
    answered: list[httpx.Response] = []

    def ask() -> None:
        with proxied.client() as http:
            answered.append(http.get("/api/v1/readiness", params={**QUESTION, "wait_seconds": 60}))

    asking = threading.Thread(target=ask)
    asking.start()
    with client(proxied.service) as direct:
        wait_for_waiting(direct, "readiness")
    publish(store, 0)
    asking.join(10)
    assert answered[0].json()["is_ready"]


def test_events_come_one_by_one(proxied: Proxied, store: RegistryStore) -> None:
    with (
        proxied.client() as http,
        http.stream("GET", "/api/v1/events/stream", params={"after": store.last_position()}) as stream,
    ):
        events = events_of(stream)
        for hour in (20, 21):
            began = time.monotonic()
            publish(store, hour)
            assert [next(events)[1] for _ in range(3)] == ["PARTITION_REGISTERED", "LOCK", "UNLOCK"]
            assert time.monotonic() - began < 5


def test_callers_are_told_apart_whatever_they_say(proxied: Proxied) -> None:
    with proxied.client("127.0.0.2") as guesser, proxied.client("127.0.0.3") as other:
        statuses = [
            guesser.get(SELF, headers=bearer(f"wrong {n}") | {"X-Forwarded-For": f"192.0.2.{n}"}).status_code
            for n in range(LIMIT + 1)
        ]
        assert statuses == [403] * LIMIT + [429]
        assert other.get(SELF, headers=bearer("wrong")).status_code == 403
    expected = ["127.0.0.2"] * (LIMIT + 1) + ["127.0.0.3"]
    wait_until(lambda: logged(proxied.service) == expected, what="the log", timeout=10, interval=0.02)


def logged(service: ServiceProcess) -> list[str]:
    """The client addresses that the service logged for token requests; a line is written after its response."""
    lines = [json.loads(line) for line in service.log_text.splitlines()]
    return [line["client"] for line in lines if line.get("path") == SELF]


def test_a_large_body(proxied: Proxied, store: RegistryStore) -> None:
    questions = [Question("s", hours(10, 11))] * 10_000
    assert len(store.check_readiness_many(questions)) == len(questions)
    with proxied.client() as http:
        assert http.post("/api/v1/readiness", content=b" " * LARGEST_BODY).status_code == 422
        assert http.post("/api/v1/readiness", content=b" " * (LARGEST_BODY + 1)).status_code == 413


def test_people_are_sent_to_where_they_came_from(proxied: Proxied) -> None:
    with proxied.client() as http:
        answer = http.post("/sign-in", data={"access_token": ADMINISTRATOR_TOKEN, "back": "/"})
        assert str(answer.next_request and answer.next_request.url).startswith(proxied.url)
        assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_metrics_are_not_public(proxied: Proxied) -> None:
    with proxied.client() as http:
        assert http.get("/metrics").status_code == 404
