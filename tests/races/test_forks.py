"""A process that forks while it has a registry open: nothing acknowledged is lost, and nothing is shared."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    RegistryError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service_process import ServiceProcess
from tests.contract.homes import hours

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on

A_LOOK_FROM_OUTSIDE = """
import sys
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import hours
with open_store(sys.argv[1]) as store:
    print(store.check_readiness(sys.argv[2], hours(0, 1)).is_ready)
"""


class Child:
    """A forked process that takes one step whenever the test says so."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._orders, orders = os.pipe()[::-1]
        self._done, done = os.pipe()
        self.id = os.fork()
        if self.id == 0:
            try:
                for step in steps:
                    os.read(orders, 1)
                    step()
                    os.write(done, b".")
            finally:
                os._exit(0)
        os.close(done)

    def step(self) -> None:
        os.write(self._orders, b".")
        assert os.read(self._done, 1) == b".", "the child could not do it"

    def end(self) -> None:
        os.waitpid(self.id, 0)
        os.close(self._orders)
        os.close(self._done)


def a_writer(store: RegistryStore, source: str) -> str:
    """Register the source and a provider for it; returns the provider's name."""
    store.register_provider(f"writer-of-{source}", store.register_source(source, "ann").access_token)
    return f"writer-of-{source}"


def seen_from_outside(url: str, source: str) -> bool:
    command = [sys.executable, "-c", A_LOOK_FROM_OUTSIDE, url, source]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"


@pytest.fixture(scope="module")
def service_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database_url = f"sqlite:///{tmp_path_factory.mktemp('service')}/registry.db"
    with ServiceProcess(database_url, "--open") as service:
        yield service.url


@pytest.fixture(
    params=["migrated_sqlite", pytest.param("postgres", marks=pytest.mark.postgres), "service"],
    ids=["sqlite", "postgres", "service"],
)
def home_url(request: pytest.FixtureRequest) -> str:
    """A registry in each kind of store."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def source(request: pytest.FixtureRequest) -> str:
    """A source of this test's own, as the tests of a service share its registry."""
    return request.node.name.replace(" ", "-")


def test_a_lock_taken_in_a_child_outlasts_everybody(home_url: str, source: str) -> None:
    store = open_store(home_url, timeout=30)
    provider = a_writer(store, source)
    store.lock(PartitionKey(source, provider, hours(0, 1)), register=True)
    store.unlock(PartitionKey(source, provider, hours(0, 1)))

    child = Child(
        lambda: store.get_source(source), lambda: store.lock(PartitionKey(source, provider, hours(0, 1)))
    )
    store.close()
    child.step()
    assert seen_from_outside(home_url, source)
    child.step()
    assert not seen_from_outside(home_url, source)
    child.end()
    assert not seen_from_outside(home_url, source)


def test_parent_and_child_work_at_the_same_time(home_url: str, source: str) -> None:
    store = open_store(home_url, timeout=30)
    provider = a_writer(store, source)
    child = Child(
        lambda: [
            store.lock(PartitionKey(source, provider, hours(n, n + 1)), register=True)
            for n in range(0, 40, 2)
        ]
    )
    os.write(child._orders, b".")
    for number in range(1, 41, 2):
        store.lock(PartitionKey(source, provider, hours(number, number + 1)), register=True)
    assert os.read(child._done, 1) == b"."
    child.end()
    assert len(store.list_partitions(source).items) == 40
    store.close()


@pytest.mark.parametrize("closes", [True, False], ids=["connecting", "connected"])
def test_children_born_while_another_thread_asks(home_url: str, source: str, closes: bool) -> None:
    """Nobody in the child could release a lock that the other thread holds at that moment."""
    store = open_store(home_url, timeout=30, pool_size=2)
    provider = a_writer(store, source)
    is_over = threading.Event()

    def connect_again_and_again() -> None:
        while not is_over.is_set():
            store.last_position()
            if closes:
                store.close()

    busy = threading.Thread(target=connect_again_and_again)
    busy.start()
    for number in range(10):
        child = Child(
            lambda hour=number: store.lock(
                PartitionKey(source, provider, hours(hour, hour + 1)), register=True
            )
        )
        child.step()
        child.end()
    is_over.set()
    busy.join()
    assert len(store.list_partitions(source).items) == 10
    store.close()


# Libraries hold locks during what follows; a child would inherit them held, and nobody could release them.


def test_a_fork_waits_until_a_connection_to_postgresql_is_open_or_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = open_store(f"postgresql://ann@127.0.0.1:{server.getsockname()[1]}/none", timeout=5)
        with failing_to_connect(store, StoreUnavailableError):
            half_open, _ = server.accept()
            server.close()
            a_fork_waits_for(half_open.close)


def test_a_fork_waits_until_the_authorities_to_trust_are_read(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    os.mkfifo(file)
    with failing_to_connect(
        open_store("https://127.0.0.1:1", verify=str(file), timeout=5), InvalidInputError
    ):
        half_written = os.open(file, os.O_WRONLY)
        a_fork_waits_for(lambda: os.close(half_written))


A_CHILD_THAT_ENDS = """
import os, sys, threading
from airflow_provider_partition_registry.store.http.connections import Connections

connections = Connections("http://127.0.0.1:1", limit=1, verify=True)
with connections.lend(1) as pool:
    lock = pool.pool.mutex  # which a thread takes for a moment at the beginning and at the end of every call
is_taken = threading.Event()
threading.Thread(target=lambda: (lock.acquire(), is_taken.set(), threading.Event().wait()), daemon=True).start()
is_taken.wait()
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
del pool, lock
with connections.lend(1):
    pass
print("has ended", flush=True)
"""


def test_a_child_can_end_whose_parent_was_using_a_pool() -> None:
    """The pool closes its connections when it is deleted, and at the end of the process; a child cannot do that."""
    command = [sys.executable, "-W", "ignore", "-c", A_CHILD_THAT_ENDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "has ended\n"


def a_fork_waits_for(event: Callable[[], None]) -> None:
    """Fork, and let the event happen half a second later: the fork must not have happened before it."""
    has_come = threading.Event()

    def come() -> None:
        has_come.set()
        event()

    threading.Timer(0.5, come).start()
    child = Child()
    assert has_come.is_set()
    child.end()


@contextmanager
def failing_to_connect(store: RegistryStore, expected: type[RegistryError]) -> Iterator[None]:
    """Let another thread try to connect meanwhile, which fails."""
    failures = []

    def connect() -> None:
        try:
            store.last_position()
        except RegistryError as error:
            failures.append(type(error))

    caller = threading.Thread(target=connect)
    caller.start()
    yield
    caller.join()
    assert failures == [expected]
