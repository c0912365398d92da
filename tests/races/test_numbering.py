"""Positions on PostgreSQL: no writer waits for one of another source, and no follower misses an event (R9)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.domain.principals import Source
from airflow_provider_partition_registry.store.sql.changes.history import Line, finish_with_events
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.freezing import freezing
from testbed.processes import wait_until
from tests.contract.homes import NOON, all_events, hours
from tests.races.conftest import register

pytestmark = pytest.mark.postgres

SOURCES = ("s0", "s1", "s2")


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlRegistryStore]:
    """A registry whose calls give up after a few seconds, long before a frozen writer's do."""
    with open_sql_store(postgres_url, pool_size=2, timeout=5) as store:
        for source_name in SOURCES:
            register(store, source_name, 1)
        yield store


def test_a_frozen_writer_holds_up_nobody_of_another_source(
    store: SqlRegistryStore, postgres_url: str
) -> None:
    before = all_events(store)
    with freezing(postgres_url, "s0") as frozen:
        store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
        store.unlock(PartitionKey("s1", "p0", hours(0, 1)))
        # Who follows that source sees its events; who follows all sources waits for the one before them.
        assert len(all_events(store, before[-1].position, "s1")) == 2
        assert all_events(store) == before
        assert store.last_position() == before[-1].position
        frozen.send_signal(signal.SIGCONT)
        assert frozen.wait(60) == 0
    after = all_events(store)[len(before) :]
    assert [(event.source_name, event.type) for event in after] == [
        ("s0", EventType.TOKEN_ROTATED),
        ("s1", EventType.PARTITION_REGISTERED),
        ("s1", EventType.UNLOCK),
        ("s0", EventType.TOKEN_ROTATED),
    ]
    assert verify(store.database) == []


def test_what_a_killed_writer_took_is_a_hole_that_followers_pass(
    store: SqlRegistryStore, postgres_url: str
) -> None:
    before = all_events(store)
    with freezing(postgres_url, "s0") as frozen:
        store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
        frozen.kill()
        frozen.wait(60)
        wait_until(lambda: len(all_events(store)) > len(before), what="the server to roll back", timeout=60)
    (event,) = all_events(store)[len(before) :]
    assert (event.source_name, event.position) == ("s1", before[-1].position + 2)
    assert store.events(event.position - 1).items == (event,)
    assert verify(store.database) == []


def test_a_cursor_of_one_source_may_be_beyond_what_is_settled(
    store: SqlRegistryStore, postgres_url: str
) -> None:
    """It is a place in the history, although a reader of all sources cannot have got there yet."""
    with freezing(postgres_url, "s0"):
        store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
        cursor = all_events(store, source_name="s1")[-1].position
        assert cursor > store.last_position()
        assert store.events(cursor).items == ()
        assert not store.changed_since("s1", hours(0, 1), cursor)


def test_latest_positions_do_not_wait_for_what_is_settled(store: SqlRegistryStore, postgres_url: str) -> None:
    before = store.last_position()
    with freezing(postgres_url, "s0"):
        store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
        latest = store.latest_positions(["s0", "s1", "no such source"])
        assert latest.keys() == {"s0", "s1"}
        assert latest["s0"] <= before < latest["s1"] == all_events(store, source_name="s1")[-1].position
        assert store.latest_positions([]) == {}


def test_a_position_that_is_announced_and_not_yet_taken_holds_followers_back(store: SqlRegistryStore) -> None:
    announce = text(
        "SELECT pg_advisory_xact_lock_shared((tableoid::bigint << 32) | (last_value & 4294967295)) "
        "FROM partition_registry_event_position"
    )
    before = all_events(store)
    with store.database.engine.connect() as slow:
        slow.exec_driver_sql("BEGIN")
        slow.execute(announce)
        store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
        assert all_events(store) == before
        slow.exec_driver_sql("ROLLBACK")
    assert len(all_events(store)) == len(before) + 1


def test_announcements_in_another_database_of_the_server_hold_nobody_back(
    store: SqlRegistryStore, new_postgres_url: Callable[..., str]
) -> None:
    """Databases that are copies of each other give their sequences the same number."""
    with open_sql_store(new_postgres_url(), pool_size=1, timeout=5) as other:
        register(other, "s0", 1)
        with freezing(str(other.database.url.render_as_string(hide_password=False)), "s0"):
            before = all_events(store)
            store.register_partition(PartitionKey("s1", "p0", hours(0, 1)))
            assert len(all_events(store)) == len(before) + 1


class Writing(NamedTuple):
    """A transaction that is open, and the positions of its events."""

    connection: Connection
    source: Source
    positions: tuple[int, ...]


class Interleavings(RuleBasedStateMachine):
    """Writers of different sources that write, commit and roll back in any order, and a reader that follows them."""

    store: SqlRegistryStore
    sources: tuple[Source, ...]

    def __init__(self) -> None:
        super().__init__()
        self.writing: list[Writing] = []
        self.committed: list[int] = []
        self.seen: list[int] = []
        self.cursor = self.store.last_position()

    @precondition(lambda self: len(self.writing) < len(self.sources))
    @rule(data=st.data(), events=st.integers(1, 3), together=st.booleans())
    def write(self, data: st.DataObject, events: int, together: bool) -> None:
        """Write to a source that nobody is writing to: its writers take turns."""
        taken = [each.source for each in self.writing]
        source = data.draw(st.sampled_from([each for each in self.sources if each not in taken]))
        connection = self.store.database.engine.connect()
        connection.exec_driver_sql("BEGIN")
        lines = [Line(EventType.TOKEN_ROTATED, NOON, source.id)] * events
        for portion in [lines] if together else [[each] for each in lines]:
            finish_with_events(Message(connection), portion, source.name)
        newest = text(
            "SELECT position FROM partition_registry_event WHERE source_id = :id ORDER BY position DESC LIMIT :events"
        )
        found = connection.execute(newest, {"id": source.id, "events": events}).scalars()
        self.writing.append(Writing(connection, source, tuple(found)))

    @precondition(lambda self: self.writing)
    @rule(data=st.data(), commits=st.booleans())
    def end(self, data: st.DataObject, commits: bool) -> None:
        self.writing.remove(writing := data.draw(st.sampled_from(self.writing)))
        writing.connection.exec_driver_sql("COMMIT" if commits else "ROLLBACK")
        writing.connection.close()
        self.committed += writing.positions if commits else ()

    @rule(limit=st.integers(1, 5))
    def follow(self, limit: int) -> None:
        self.read(limit)

    def read(self, limit: int) -> bool:
        page = self.store.events(self.cursor, limit=limit)
        self.seen += [event.position for event in page.items]
        self.cursor = self.seen[-1] if self.seen else self.cursor
        return bool(page.items)

    def teardown(self) -> None:
        for writing in self.writing:
            writing.connection.exec_driver_sql("ROLLBACK")
            writing.connection.close()
        while self.read(100):
            pass
        assert self.seen == sorted(self.committed)


def test_any_interleaving_of_writers_is_followed_without_a_loss(store: SqlRegistryStore) -> None:
    with open_sql_store(
        store.database.url.render_as_string(hide_password=False), pool_size=8, timeout=30
    ) as own:
        tokens = [own.register_source(name, "ann") for name in "abcdef"]
        Interleavings.store, Interleavings.sources = own, tuple(each.source for each in tokens)
        run_state_machine_as_test(Interleavings)
        assert verify(own.database) == []
