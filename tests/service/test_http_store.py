"""The HTTP store when the service, the network, or a proxy in between misbehaves."""

from __future__ import annotations

import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pytest_mock import MockerFixture

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    InvalidTokenError,
    PartitionAlreadyRegisteredError,
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.http.connections import AllBusyError, Connections
from airflow_provider_partition_registry.store.wire.answers import VERSION_HEADER
from testbed.processes import wait_until
from testbed.proxy import LosingProxy
from testbed.service import ServiceThread
from tests.contract.homes import all_events, hours
from tests.races.conftest import register

PLACE = PartitionKey("s", "p0", hours(0, 1))


@pytest.fixture
def service(migrated_sqlite_url: str) -> Iterator[ServiceThread]:
    with ServiceThread(ServiceSettings(migrated_sqlite_url, is_open=True)) as service:
        yield service


@pytest.fixture
def proxy(service: ServiceThread) -> Iterator[LosingProxy]:
    port = urlsplit(service.url).port
    assert port is not None
    with LosingProxy(port) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: LosingProxy) -> Iterator[RegistryStore]:
    with open_store(f"http://127.0.0.1:{proxy.port}") as store:
        register(store, "s", 1)
        yield store


def kinds_of_events(store: RegistryStore) -> list[str]:
    return [event.type.value for event in all_events(store) if event.interval is not None]


@pytest.mark.parametrize("after_delivery", [False, True])
def test_a_lock_whose_response_was_lost_is_repeated(
    store: RegistryStore, proxy: LosingProxy, after_delivery: bool
) -> None:
    store.register_partition(PLACE)
    proxy.lose(b"/partitions/lock", after_delivery=after_delivery)
    locked = store.lock(PLACE)
    assert not proxy.is_armed
    assert locked == store.get_partition(PLACE)
    assert locked.generation == (2 if after_delivery else 1)


@pytest.mark.parametrize("after_delivery", [False, True])
@pytest.mark.parametrize("verb", ["unlock", "fail"])
def test_an_unlock_whose_response_was_lost_takes_effect_once(
    store: RegistryStore, proxy: LosingProxy, verb: str, after_delivery: bool
) -> None:
    generation = store.lock(PLACE, register=True).generation
    proxy.lose(f"/partitions/{verb}".encode(), after_delivery=after_delivery)
    reason = {"reason": "disk full"} if verb == "fail" else {}
    ended = getattr(store, verb)(PLACE, generation=generation, **reason)
    assert not proxy.is_armed
    assert ended.state is (PartitionState.FAILED if verb == "fail" else PartitionState.READY)
    assert kinds_of_events(store) == ["PARTITION_REGISTERED", "LOCK", verb.upper()]


@pytest.mark.parametrize("after_delivery", [False, True])
def test_a_registration_whose_response_was_lost_is_not_repeated(
    store: RegistryStore, proxy: LosingProxy, after_delivery: bool
) -> None:
    proxy.lose(b"/partitions ", after_delivery=after_delivery)
    with pytest.raises(StoreUnavailableError, match="may or may not have taken effect"):
        store.register_partition(PLACE)
    assert kinds_of_events(store) == (["PARTITION_REGISTERED"] if after_delivery else [])
    if after_delivery:
        with pytest.raises(PartitionAlreadyRegisteredError):
            store.register_partition(PLACE)


def test_one_connection_serves_call_after_call(store: RegistryStore, proxy: LosingProxy) -> None:
    for _ in range(20):
        store.check_readiness("s", hours(0, 1))
    assert proxy.connections == 1
    store.close()
    store.check_readiness("s", hours(0, 1))
    assert proxy.connections == 2


def test_as_many_connections_as_allowed_serve_many_threads(
    service: ServiceThread, proxy: LosingProxy
) -> None:
    answers = []
    with open_store(f"http://127.0.0.1:{proxy.port}", pool_size=3) as store:
        threads = [threading.Thread(target=lambda: answers.append(store.last_position())) for _ in range(12)]
        proxy.hold()
        for thread in threads:
            thread.start()
        wait_until(lambda: proxy.connections == 3, what="three connections", timeout=30, interval=0.02)
        time.sleep(0.3)  # during which no further connection may be opened
        assert proxy.connections == 3
        proxy.release()
        for thread in threads:
            thread.join()
    assert (len(answers), proxy.connections) == (len(threads), 3)


def test_waiting_for_a_free_connection_times_out() -> None:
    connections = Connections("http://127.0.0.1:1", limit=2, verify=True)
    with (
        connections.lend(1),
        connections.lend(1),
        pytest.raises(AllBusyError, match="all 2 connections"),
        connections.lend(0.1),
    ):
        pass
    with connections.lend(0.1), connections.lend(0.1):  # callers that gave up are not in the queue any more
        pass


def test_closing_hangs_up_and_lets_a_call_under_way_end(proxy: LosingProxy) -> None:
    with open_store(f"http://127.0.0.1:{proxy.port}", pool_size=2) as store:
        store.last_position()
        proxy.hold()
        with ThreadPoolExecutor() as threads:
            under_way = threads.submit(store.last_position)
            time.sleep(0.2)
            store.close()
            proxy.release()
            assert under_way.result() == 0
        wait_until(lambda: not proxy.clients, what="the end of the connection", timeout=60)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on
def test_a_forked_child_talks_on_connections_of_its_own(store: RegistryStore, proxy: LosingProxy) -> None:
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            store.last_position()

    hammering = threading.Thread(target=hammer)
    hammering.start()  # so that every fork happens in the middle of a call
    try:
        for number in range(10):
            child = os.fork()
            if child == 0:
                try:
                    store.lock(PartitionKey("s", "p0", hours(number, number + 1)), register=True)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        hammering.join()
    assert kinds_of_events(store).count("LOCK") == 10
    assert proxy.connections == 11


@dataclass
class Impostor:
    """A server that gives prepared responses in place of a registry's; the last one again and again."""

    answers: list[Callable[[http.server.BaseHTTPRequestHandler], None]]
    asked: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked += 1
        self.answers[min(self.asked, len(self.answers)) - 1](request)


def says(
    status: int, body: str = "<html>Not here</html>", **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())

    return answer


@contextmanager
def impostor(
    *answers: Callable[[http.server.BaseHTTPRequestHandler], None],
) -> Iterator[tuple[Impostor, str]]:
    told = Impostor(list(answers))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    try:
        yield told, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        told.release.set()
        server.shutdown()
        server.server_close()
        serving.join()


POSITION = says(200, '{"position": 7}')


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_its_service_is_asked_again(status: int) -> None:
    with (
        impostor(says(status), says(status, Retry_After="1"), POSITION) as (told, url),
        open_store(url) as store,
    ):
        assert store.last_position() == 7
        assert told.asked == 3


def test_a_proxy_that_stays_without_its_service(tmp_path: Path) -> None:
    with impostor(says(502)) as (told, url), open_store(url) as store:
        with pytest.raises(StoreUnavailableError, match="does not respond: HTTP 502"):
            store.last_position()
        assert told.asked == 3
        with pytest.raises(StoreUnavailableError, match="may or may not"):
            store.register_source("s", "ann")
        assert told.asked == 4


def test_a_retry_after_beyond_the_time_out_gives_up_at_once() -> None:
    with impostor(says(503, Retry_After="3600")) as (told, url), open_store(url) as store:
        with pytest.raises(StoreUnavailableError):
            store.last_position()
        assert told.asked == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(says(200), "not a partition registry .HTTP 200 to GET", id="some other page"),
        pytest.param(says(404, '{"detail":"Not Found"}'), "Check the URL", id="some other API"),
        pytest.param(
            says(301, Location="https://elsewhere"), "redirects to https://elsewhere", id="redirect"
        ),
        pytest.param(
            says(404, '{"detail":"Not Found"}', **{VERSION_HEADER: "9.9.9"}),
            f"of version 9.9.9 and this is version {__version__}",
            id="another version without this route",
        ),
        pytest.param(
            says(200, '{"place": 7}', **{VERSION_HEADER: "9.9.9"}),
            "bring both to the same version",
            id="another version with other words",
        ),
        pytest.param(
            says(404, '{"detail":"Not Found"}', **{VERSION_HEADER: __version__}),
            "Check the path in the URL",
            id="a path too many",
        ),
    ],
)
def test_a_server_that_is_not_a_registry_of_this_version_is_refused_without_retry(
    answer: Callable, words: str
) -> None:
    with impostor(answer) as (told, url), open_store(url) as store:
        with pytest.raises(StoreRefusedError, match=words):
            store.last_position()
        assert told.asked == 1


def test_a_server_that_speaks_no_http_is_quoted() -> None:
    def greet(request: http.server.BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        request.close_connection = True

    with (
        impostor(greet) as (_, url),
        open_store(url, timeout=1) as store,
        pytest.raises(StoreUnavailableError, match=r"speaks no HTTP but says 'SSH-2\.0-OpenSSH_9\.2"),
    ):
        store.last_position()


def test_fewer_answers_than_questions_are_refused() -> None:
    with (
        impostor(says(200, '{"answers": []}')) as (_, url),
        open_store(url) as store,
        pytest.raises(StoreRefusedError, match="0 of 2 questions"),
    ):
        store.check_readiness_many([Question("sales", hours(0, 1)), Question("sales", hours(1, 2))])


def test_one_question_takes_the_fast_route(service: ServiceThread, mocker: MockerFixture) -> None:
    fast = mocker.spy(service.app.state.service, "answer")
    with open_store(service.url) as store:
        register(store, "s", 1)
        store.check_readiness("s", hours(0, 1))
        assert fast.call_count == 1
        (unknown,) = store.check_readiness_many([Question("nobody", hours(0, 1))])
        assert isinstance(unknown, UnknownSourceError)
        assert fast.call_count == 2
        store.check_readiness("s", hours(0, 1), published_after=hours(0, 1).start)
        store.check_readiness_many([Question("s", hours(0, 1)), Question("s", hours(1, 2))])
        assert fast.call_count == 2


def test_an_error_of_another_version_mentions_both_versions() -> None:
    refusal = '{"error": {"code": "invalid_input", "message": "explain: unheard of.", "details": {}}}'
    with (
        impostor(says(422, refusal, **{VERSION_HEADER: "9.9.9"})) as (_, url),
        open_store(url) as store,
        pytest.raises(InvalidInputError, match=r"unheard of.*of version 9\.9\.9.*may be why"),
    ):
        store.last_position()


def test_white_space_around_a_token_does_no_harm_and_inside_it_is_not_repeated(
    service: ServiceThread,
) -> None:
    with open_store(service.url) as store:
        token = store.register_source("s", "ann").access_token
    with open_store(service.url, access_token=f" {token}\n") as store:
        assert store.register_provider("p", token).provider.name == "p"
        assert store.identify_token(token).principal.name == "s"
        with pytest.raises(InvalidTokenError) as refused:
            store.register_provider("q", f"{token} ")
    assert token not in str(refused.value)
    with pytest.raises(InvalidTokenError):
        open_store(service.url, access_token="prs_of two words")


def test_a_service_that_hangs() -> None:
    def hang(request: http.server.BaseHTTPRequestHandler) -> None:
        told.release.wait(60)

    with impostor(hang) as (told, url), open_store(url, timeout=0.5) as store:
        with pytest.raises(StoreUnavailableError):
            store.last_position()
        assert told.asked == 1


def test_a_service_that_is_down() -> None:
    with open_store("http://127.0.0.1:1", timeout=1) as store, pytest.raises(StoreUnavailableError) as caught:
        store.register_source("s", "ann")
    assert "may or may not" not in str(caught.value)  # the call was never sent


def test_tls(migrated_sqlite_url: str, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    def ask(url: str, **options: Any) -> None:
        with open_store(url, **options) as store:
            assert store.last_position() == 0

    settings = ServiceSettings(migrated_sqlite_url, is_open=True)
    with ServiceThread(settings, tls=certificate) as service:
        ask(service.url, verify=str(certificate[0]))
        ask(service.url, verify=False)
        with pytest.raises(StoreRefusedError, match=r"cannot be trusted: self-signed certificate.*'verify'"):
            ask(service.url)
        with pytest.raises(StoreRefusedError, match="cannot be trusted"):
            ask(service.url.replace("127.0.0.1", "localhost"), verify=str(certificate[0]))
        with pytest.raises(RegistryError):
            ask(service.url.replace("https", "http"), timeout=1)
        with pytest.raises(InvalidInputError, match=r"nowhere\.pem"):
            ask(service.url, verify=str(tmp_path / "nowhere.pem"))
        with pytest.raises(InvalidInputError, match="cannot be read"):
            ask(service.url, verify=str(certificate[1]))
    with ServiceThread(settings) as plain, pytest.raises(StoreRefusedError, match="does not speak TLS"):
        ask(plain.url.replace("http", "https"))
