"""The server dies, comes back, or hangs: errors in time, nothing acknowledged is lost, and recovery is automatic."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import (
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import wait_until
from tests.conftest import upgrade
from tests.contract.homes import hours
from tests.races.conftest import register
from tests.races.replay import assert_consistent, assert_nothing_is_lost
from tests.races.traffic import Writer, started

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
TIMEOUT = 2.0
GRACE = 3.0
"""Seconds that a call may take beyond its time-out: one for the watchdog, the others for a busy machine."""

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server of this module's own, as tests damage it. Killed, it must not lose commits; the disk may lag."""
    from testbed.postgres import PostgresServer

    with PostgresServer(options={"fsync": "off"}) as server:
        yield server


@pytest.fixture
def url(server: Any) -> str:
    return upgrade(server.create_database(f"outage_{next(_numbers)}"))


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    with open_store(url, pool_size=2, timeout=TIMEOUT) as store:
        register(store, "s", 4)
        yield store


def traffic(
    url: str, stop: threading.Event
) -> tuple[list[Writer], list[threading.Thread], list[BaseException]]:
    writers = [Writer(open_store(url, timeout=TIMEOUT), f"w{n}", steps=100_000, stop=stop) for n in range(4)]
    reader = open_store(url, timeout=TIMEOUT)

    def read() -> None:
        while not stop.is_set():
            try:
                reader.check_readiness("s", hours(0, 6))
            except StoreUnavailableError:
                time.sleep(0.01)  # as a patient client does

    threads, leaked = started([*writers, read])
    return writers, threads, leaked


def wait_for_progress(writers: list[Writer], seconds: float = 20) -> None:
    enough = sum(len(writer.acknowledged) for writer in writers) + 40
    wait_until(
        lambda: sum(len(writer.acknowledged) for writer in writers) >= enough,
        what="the writers to get on",
        timeout=seconds,
        interval=0.05,
    )


def wait_for_trouble(writers: list[Writer], noticed: int) -> None:
    wait_until(lambda: unavailable(writers) > noticed, what="a writer to notice", timeout=20, interval=0.05)


def unavailable(writers: list[Writer]) -> int:
    return sum(writer.unavailable for writer in writers)


@pytest.mark.parametrize("way", ["kill", "stop"])
def test_the_server_goes_and_comes_back_in_mid_traffic(server: Any, store: Any, url: str, way: str) -> None:
    stop = threading.Event()
    writers, threads, leaked = traffic(url, stop)
    for _ in range(3):
        wait_for_progress(writers)
        noticed = unavailable(writers)
        getattr(server, way)()
        wait_for_trouble(writers, noticed)
        server.start()
    wait_for_progress(writers)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert leaked == []
    assert sum(writer.unavailable for writer in writers) > 0
    events = assert_consistent(store)
    for writer in writers:
        assert_nothing_is_lost(events, writer.acknowledged)


EVERY_KIND_OF_CALL: dict[str, Callable[[Any], Any]] = {
    "probe": lambda store: store.check_readiness("s", hours(0, 1)),
    "batch": lambda store: store.check_readiness_many([Question("s", hours(0, 1))] * 3),
    "list": lambda store: store.list_partitions("s"),
    "events": lambda store: store.events(),
    "changed": lambda store: store.changed_since("s", hours(0, 1), 0),
    "lock": lambda store: store.lock(PartitionKey("s", "p0", hours(0, 1)), register=True),
    "register": lambda store: store.register_source("new", "ann"),
    "listen": lambda store: store.open_listener(),
}


@pytest.mark.parametrize("call", EVERY_KIND_OF_CALL.values(), ids=EVERY_KIND_OF_CALL)
def test_a_server_that_hangs_gives_an_error_in_time(server: Any, store: Any, call: Callable) -> None:
    with server.paused():
        assert_unavailable_in_time(store, call, TIMEOUT)
    store.get_source("s")


@pytest.mark.parametrize("name", ["probe", "lock", "listen"])
def test_a_server_that_hangs_lets_nobody_connect_for_long(server: Any, store: Any, name: str) -> None:
    """Reads, writes and listeners connect in different ways."""
    store.close()
    with server.paused():
        assert_unavailable_in_time(store, EVERY_KIND_OF_CALL[name], 5.0)
    store.get_source("s")


def test_a_server_that_hangs_does_not_keep_a_second_caller_longer(server: Any, store: Any) -> None:
    with server.paused():
        for _ in range(2):
            assert_unavailable_in_time(store, EVERY_KIND_OF_CALL["probe"], 5.0)
    store.get_source("s")


def test_a_listener_of_a_hanging_server_hears_nothing_and_goes_on(server: Any, store: Any) -> None:
    listener = store.open_listener()
    with server.paused():
        assert listener.wait(0.2) is None
    store.lock(PartitionKey("s", "p0", hours(0, 1)), register=True)
    store.unlock(PartitionKey("s", "p0", hours(0, 1)))
    assert listener.wait(5) == {"s"}
    listener.close()


def test_a_listener_whose_server_died_says_so(server: Any, store: Any) -> None:
    listener = store.open_listener()
    server.kill()
    try:
        with pytest.raises(StoreUnavailableError):
            _ = [listener.wait(1) for _ in range(3)]
        listener.close()
    finally:
        server.start()
    again = store.open_listener()
    assert again.wait(0.01) is None
    again.close()


@pytest.mark.parametrize("call", EVERY_KIND_OF_CALL.values(), ids=EVERY_KIND_OF_CALL)
def test_a_server_that_is_down_gives_an_error_at_once(server: Any, store: Any, call: Callable) -> None:
    server.kill()
    try:
        assert_unavailable_in_time(store, call, 1.0)
    finally:
        server.start()
    store.get_source("s")


def test_a_writer_that_hangs_in_its_transaction_keeps_others_out_for_the_timeout_only(
    store: Any, url: str
) -> None:
    import psycopg2

    hung = psycopg2.connect(url)
    hung.cursor().execute("SELECT 1 FROM partition_registry_source FOR UPDATE")
    assert_unavailable_in_time(store, EVERY_KIND_OF_CALL["lock"], TIMEOUT)
    assert not store.check_readiness("s", hours(0, 1)).is_ready
    hung.close()
    assert store.lock(PartitionKey("s", "p0", hours(0, 1)), register=True).generation == 1


def test_waiting_for_a_free_connection_times_out(server: Any, store: Any, url: str) -> None:
    import psycopg2

    hung = psycopg2.connect(url)
    hung.cursor().execute("LOCK partition_registry_source IN ACCESS EXCLUSIVE MODE")
    threads, _ = started([lambda: store.get_source("s")] * 2)
    blocked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_until(
        lambda: len(server.execute(blocked)) == 2,
        what="both connections to wait",
        timeout=TIMEOUT,
        interval=0.02,
    )
    assert_unavailable_in_time(store, EVERY_KIND_OF_CALL["probe"], TIMEOUT * 2)
    hung.close()
    for thread in threads:
        thread.join()
    store.get_source("s")


def test_no_server_at_all() -> None:
    with open_store("postgresql://postgres@127.0.0.1:1/none", timeout=TIMEOUT) as store:
        assert_unavailable_in_time(store, EVERY_KIND_OF_CALL["probe"], 1.0)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://postgres@127.0.0.1:{port}/missing", 'database "missing" does not exist'),
        ("postgresql://nobody@127.0.0.1:{port}/postgres", 'role "nobody" does not exist'),
        ("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=requred", "invalid sslmode value"),
        ("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=require", "does not support SSL"),
        ("postgresql://postgres@127.0.0.1:{port}/postgres?connect_timeout=abc", "invalid integer value"),
    ],
)
def test_a_lasting_failure_is_not_reported_as_an_outage(server: Any, url: str, told: str) -> None:
    with (
        open_store(url.format(port=server.port), timeout=TIMEOUT) as store,
        pytest.raises(StoreRefusedError, match=told),
    ):
        store.get_source("s")


def assert_unavailable_in_time(store: Any, call: Callable[[Any], Any], seconds: float) -> None:
    """The call ends with our own error in time; it runs in a thread, so that the test goes on if it hangs."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            call(store)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=run, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(seconds + GRACE)
    assert not thread.is_alive(), f"no answer after {time.monotonic() - began:.1f} s"
    assert [type(error) for error in caught] == [StoreUnavailableError], caught
    assert isinstance(caught[0], RegistryError)
    assert "postgresql://" in str(caught[0])
    assert "postgres@" not in str(caught[0])
