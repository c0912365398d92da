"""Pruning beside writers and followers, at its border, and ended in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from airflow_provider_partition_registry.domain.errors import PrunedPositionError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.maintenance import pruning
from airflow_provider_partition_registry.store.sql.maintenance.pruning import Portion, prune
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema.tables import event
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.freezing import freezing
from testbed.processes import wait_until
from tests.contract.homes import all_events, hours
from tests.races.conftest import register
from tests.races.replay import all_partitions
from tests.races.traffic import Writer, started

SOURCES = ("s0", "s1", "s2")
PROVIDERS = 4
WRITTEN = "CREATE TABLE written AS SELECT position, source_id FROM partition_registry_event"
NOTING = {
    "sqlite": [
        (
            "CREATE TRIGGER noting AFTER INSERT ON partition_registry_event "
            "BEGIN INSERT INTO written VALUES (new.position, new.source_id); END"
        )
    ],
    "postgresql": [
        (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO written VALUES (new.position, new.source_id); RETURN NULL; END $$"
        ),
        (
            "CREATE TRIGGER noting AFTER INSERT ON partition_registry_event "
            "FOR EACH ROW EXECUTE FUNCTION note()"
        ),
    ],
}
"""Keeps the positions of all events ever written, with their sources."""


def now() -> datetime:
    return datetime.now(UTC)


def write_a_lot(
    store: SqlRegistryStore, source_name: str = "s0", partitions: int = 40, times: int = 10
) -> None:
    keys = [PartitionKey(source_name, "p0", hours(hour, hour + 1)) for hour in range(partitions)]
    for _ in range(times):
        store.lock_many(keys, register=True)
        store.unlock_many(keys)


def count_events(store: SqlRegistryStore) -> int:
    """How many events about partitions there are."""
    statement = select(func.count()).select_from(event).where(event.c.interval_start.is_not(None))
    return int(store.database.read(lambda connection: connection.execute(statement).scalar_one()))


@contextmanager
def noting(store: SqlRegistryStore) -> Iterator[Callable[[], list[tuple[int, int]]]]:
    """Gives a function that tells all events ever written."""
    dialect = store.database.engine.dialect.name
    with store.database.engine.connect() as connection:
        for statement in (WRITTEN, *NOTING[dialect]):
            connection.exec_driver_sql(statement)

    def written() -> list[tuple[int, int]]:
        statement = "SELECT position, source_id FROM written ORDER BY position"
        rows = store.database.read(lambda connection: connection.exec_driver_sql(statement).all())
        return [(int(position), int(source_id)) for position, source_id in rows]

    yield written


class Follower:
    """Follows the history, and begins anew at its end if that was pruned of what it has not seen.

    ``stretches`` are where it began, and the positions that it saw from there on.

    :param pause: How long it sleeps before each question, in seconds; ``None``: until all is over.
    """

    def __init__(
        self,
        store: SqlRegistryStore,
        source_name: str | None,
        stop: threading.Event,
        pause: float | None = 0.05,
    ) -> None:
        self.store, self.source_name, self.stop, self.pause = store, source_name, stop, pause
        self.stretches: list[tuple[int, list[int]]] = [(store.last_position(), [])]

    def __call__(self) -> None:
        is_last = False
        while not is_last:
            is_last = self.stop.wait(self.pause)
            begun, seen = self.stretches[-1]
            try:
                seen += [
                    each.position
                    for each in self.store.events(seen[-1] if seen else begun, self.source_name, 1).items
                ]
            except PrunedPositionError:
                self.stretches.append((self.store.last_position(), []))

    def assert_it_missed_nothing(self, events: list[tuple[int, int]]) -> None:
        its_id = None if self.source_name is None else self.store.get_source(self.source_name).id
        mine = [position for position, source_id in events if its_id in (None, source_id)]
        for begun, seen in self.stretches:
            end = seen[-1] if seen else begun
            assert seen == [position for position in mine if begun < position <= end]


def test_followers_miss_nothing_without_being_told(store: SqlRegistryStore) -> None:
    """Everything is pruned at once that can be, so that it overtakes followers all the time."""
    for source_name in SOURCES:
        register(store, source_name, PROVIDERS)
    stop = threading.Event()
    sleeper = Follower(store, None, stop, pause=None)
    followers = [sleeper, *(Follower(store, source_name, stop) for source_name in (None, None, *SOURCES))]

    def prune_all() -> None:
        for _ in prune(store.database, now()):
            pass

    def prune_all_the_time() -> None:
        while not stop.wait(0.01):
            prune_all()

    with noting(store) as written:
        writers = [Writer(store, f"w{number}", SOURCES, steps=30) for number in range(4)]
        writing, leaked = started([*writers])
        running, also_leaked = started([*followers, prune_all_the_time])
        for each in writing:
            each.join()
        prune_all()
        stop.set()
        for each in running:
            each.join()
        events = written()
    assert leaked + also_leaked == []
    assert len(sleeper.stretches) == 2, "nobody was overtaken"
    for follower in followers:
        follower.assert_it_missed_nothing(events)
    assert verify(store.database) == []
    for name in SOURCES:
        assert all_partitions(store, name)


def test_two_at_once_do_no_more_than_one(store: SqlRegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "REMOVED_AT_ONCE", 7)
    register(store, "s0", 1)
    write_a_lot(store, times=5)
    write_a_lot(store, times=1)
    before = count_events(store)
    counts: list[int] = []

    def work() -> None:
        counts.append(sum(each.event_count for each in prune(store.database, now())))

    threads, leaked = started([work, work, work])
    for each in threads:
        each.join()
    assert leaked == []
    assert sum(counts) == before - count_events(store)
    assert count_events(store) == 40
    assert verify(store.database) == []


def test_it_may_be_killed_at_any_moment(store: SqlRegistryStore, database_url: str) -> None:
    register(store, "s0", 1)
    write_a_lot(store, times=100)
    command = [sys.executable, "-m", "airflow_provider_partition_registry.cli", "--url", database_url]
    for _ in range(5):
        has_removed = partial(lambda there: count_events(store) < there, count_events(store))
        with subprocess.Popen([*command, "db", "prune", "--before", "now"]) as process:
            wait_until(has_removed, what="a portion", timeout=60)
            process.kill()
        assert verify(store.database) == []
    for _ in prune(store.database, now()):
        pass
    assert count_events(store) == 40
    assert verify(store.database) == []


@pytest.mark.postgres
def test_what_is_not_settled_is_not_pruned(postgres_url: str) -> None:
    """A follower of all sources that begins where the pruning ended would miss what is still to be committed."""
    with open_sql_store(postgres_url, pool_size=4, timeout=5) as store:
        for source_name in SOURCES:
            register(store, source_name, 1)
        with freezing(postgres_url, "s0") as frozen:
            settled = store.last_position()
            write_a_lot(store, "s1", times=2)
            assert sum(each.event_count for each in prune(store.database, now())) == 0
            frozen.send_signal(signal.SIGCONT)
            assert frozen.wait(60) == 0
        late = all_events(store, settled)[0].position
        assert sum(each.event_count for each in prune(store.database, now())) > 0
        with pytest.raises(PrunedPositionError):
            store.events(late)
        assert verify(store.database) == []


@pytest.mark.postgres
def test_a_writer_of_another_source_never_waits_for_it(postgres_url: str) -> None:
    """A portion that is stopped in its transaction holds up the writers of its source, as any writer does."""
    with open_sql_store(postgres_url, pool_size=4, timeout=30) as store:
        for source_name in SOURCES:
            register(store, source_name, 1)
        write_a_lot(store, times=2)
        inside, may_end = threading.Event(), threading.Event()

        def wait_inside(*_: Any) -> Portion:
            inside.set()
            assert may_end.wait(60)
            return Portion("s0", 0, 0)

        work = pruning._Pruning._remove_events

        def remove(self: Any, connection: Any, **arguments: Any) -> Portion:
            portion = work(self, connection, **arguments)
            wait_inside()
            return portion

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pruning._Pruning, "_remove_events", remove)
            threads, leaked = started([lambda: list(prune(store.database, now()))])
            assert inside.wait(60)
            write_a_lot(store, "s1", times=1)  # ends although the portion does not
            may_end.set()
            for each in threads:
                each.join()
        assert leaked == []
        assert verify(store.database) == []


def test_old_locks_and_their_leases_are_kept(store: SqlRegistryStore) -> None:
    register(store, "s0", 1)
    key = PartitionKey("s0", "p0", hours(0, 1))
    taken = store.lock(key, register=True, lease=timedelta(hours=1))
    renewed = store.renew(key, generation=taken.generation, lease=timedelta(hours=2))
    for _ in prune(store.database, now()):
        pass
    assert store.get_partition(key) == renewed
    assert store.release(key, generation=taken.generation).state == "registered"
    assert verify(store.database) == []
