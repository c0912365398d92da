"""A primary with a standby that streams from it, and registries that are read through the standby."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import GREATEST_AGE, Readiness
from airflow_provider_partition_registry.store import host_clock
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.querying import Clock
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from testbed.standby import copy_of, has_replayed, serving
from tests.conftest import upgrade
from tests.contract.homes import hours

KEY = PartitionKey("s", "p", hours(0, 1))


@dataclass
class Pair:
    """Two servers, of which the second follows the first."""

    primary: PostgresServer
    standby: PostgresServer

    def wait_until_replayed(self) -> None:
        wait_until(
            lambda: has_replayed(self.standby, self.primary), what="the standby", timeout=60, interval=0.01
        )

    @contextmanager
    def replay_paused(self) -> Iterator[None]:
        """The standby goes on answering, and gets older and older."""
        self.wait_until_replayed()
        self.standby.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.standby.execute("SELECT pg_get_wal_replay_pause_state()") == [("paused",)],
            what="the replay to pause",
            timeout=60,
            interval=0.01,
        )
        try:
            yield
        finally:
            self.standby.execute("SELECT pg_wal_replay_resume()")


@contextmanager
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(durable=False))
        standby = stack.enter_context(serving(copy_of(primary)))
        yield Pair(primary, standby)


@dataclass
class Registry:
    """A registry with source ``s`` and provider ``p``, whose partition :data:`KEY` is ready.

    :param answered_by: who has answered what the standby may answer.
    """

    store: SqlRegistryStore
    answered_by: list[str] = field(default_factory=list)

    def ask(self, max_age: int) -> Readiness:
        """Whether :data:`KEY` is ready, by who may be so old."""
        return self.store.with_max_age(max_age).check_readiness(KEY.source_name, KEY.interval)

    def wait_until_answered_by(self, who: str, max_age: int = GREATEST_AGE) -> None:
        def is_so() -> bool:
            self.ask(max_age)
            return self.answered_by[-1] == who

        wait_until(is_so, what=f"an answer of the {who}", timeout=60, interval=0.01)


@contextmanager
def registry(url: str, standby_url: str, *, timeout: float = 10) -> Iterator[Registry]:
    """The registry at the primary's URL, whose tables are made if they do not exist."""
    upgrade(url)
    answered_by: list[str] = []
    with open_sql_store(
        url, pool_size=4, timeout=timeout, standby_url=standby_url, tell=answered_by.append
    ) as store:
        store.register_provider("p", store.register_source("s", "ann").access_token)
        store.lock(KEY, register=True)
        store.unlock(KEY)
        yield Registry(store, answered_by)


@contextmanager
def in_step_with(servers: Pair, name: str) -> Iterator[Registry]:
    """A registry in a new database of that name, which the standby has and answers for."""
    url = servers.primary.create_database(name)
    servers.wait_until_replayed()
    with registry(url, servers.standby.url(name)) as opened:
        opened.wait_until_answered_by("standby")
        yield opened
    servers.primary.drop_database(name)


SERVED = (
    *(
        "check_readiness_many",
        "get_source",
        "list_sources",
        "get_provider",
        "list_providers",
        "get_partition",
    ),
    *("list_partitions", "count_locks", "list_locks", "get_overview", "list_overviews", "timeline"),
    *("latest_events",),
)
"""The methods that a standby may answer."""


class CaughtUpStore(SqlRegistryStore):
    """Reads from a standby whatever it may answer, each time after it has replayed everything.

    :param standby: the standby.
    :param reader: of the same registry, which may ask it.
    """

    def __init__(self, database: Database, clock: Clock, standby: Database, reader: RegistryReader) -> None:
        super().__init__(database, clock)
        self._standby_database = standby
        self._reader = reader

    def caught_up(self) -> RegistryReader:
        sought = "SELECT pg_current_wal_flush_lsn()"
        written = self.database.read(lambda each: each.exec_driver_sql(sought).scalar_one())
        query = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        wait_until(
            lambda: self._standby_database.read(lambda each: each.exec_driver_sql(query).scalar_one()),
            what="the standby",
            timeout=60,
            interval=0.001,
        )
        return self._reader


def _through_the_standby(name: str) -> Callable[..., Any]:
    return lambda store, *given, **options: getattr(store.caught_up(), name)(*given, **options)


for _name in SERVED:
    setattr(CaughtUpStore, _name, _through_the_standby(_name))


def lock(opened: Registry) -> float:
    """Lock :data:`KEY`, and return when that was acknowledged."""
    opened.store.lock(KEY)
    return host_clock.now()


def ask_until_locked(opened: Registry, locked_at: float, max_age: int) -> None:
    """Until the lock is in the answers, and a little longer. It may be missing only as long as is accepted."""
    asked_at = host_clock.now()
    while opened.ask(max_age).is_ready:
        assert asked_at - locked_at <= max_age
        asked_at = host_clock.now()
    for _ in range(20):
        assert not opened.ask(max_age).is_ready
