"""SQL stores for the contract: opened with a manual clock, and inspected behind the store's back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.pruning import prune
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event_position,
    heartbeat,
    history,
    metadata,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from tests.contract.homes import NOON, Home, ManualClock, Span

ASKING_THREADS = {"MainThread", "AnyIO worker thread"}
"""The threads that call a store, as tests and a service name them; other threads read the history at any time."""


def stored_ready_spans(store: SqlRegistryStore, source_name: str) -> list[Span]:
    """The derived rows of a source, in order."""
    statement = (
        select(ready_interval.c.interval_start, ready_interval.c.interval_end)
        .select_from(ready_interval.join(source))
        .where(source.c.name == source_name)
        .order_by(ready_interval.c.interval_start)
    )
    return [tuple(row) for row in store.database.read(lambda connection: connection.execute(statement).all())]


@contextmanager
def sql_home(url: str, *, timeout: float = 10) -> Iterator[Home]:
    clock = ManualClock()
    with (
        open_sql_store(url, pool_size=2, timeout=timeout, clock=clock) as store,
        open_sql_store(url, pool_size=1, timeout=timeout, clock=clock) as writer,
    ):
        yield Home(
            store,
            clock,
            stored_ready_spans=lambda source_name: stored_ready_spans(store, source_name),
            verify=lambda: verify(store.database),
            prune=lambda before: pruned(store, before),
            writer=writer,
            interrupted=partial(interrupted, store.database),
        )


def pruned(store: SqlRegistryStore, before: datetime) -> tuple[int, int]:
    """How many events and partitions were removed that happened before an instant."""
    portions = list(prune(store.database, before))
    return sum(each.event_count for each in portions), sum(each.partition_count for each in portions)


def emptied(home: Home) -> Home:
    """The registry with all rows deleted. A new one would have to compile every statement anew."""
    assert isinstance(home.store, SqlRegistryStore)
    home.store.database.write(_empty)
    home.clock.now = NOON
    return home


def _empty(connection: Connection) -> None:
    # What processes send to standbys is no part of the registry, and they go on sending.
    for table in reversed([each for each in metadata.sorted_tables if each is not heartbeat]):
        connection.execute(table.delete())
    counts = connection.dialect.name == "sqlite"
    connection.execute(history.insert().values(id=1, last_position=0 if counts else None))
    if not counts:
        connection.execute(select(func.setval(event_position.name, 0)))


@contextmanager
def interrupted(database: Database, happen: Callable[[], None]) -> Iterator[None]:
    """Let something happen before each statement that is sent to a database except the first."""
    is_first = True

    def interrupt(*_: Any) -> None:
        nonlocal is_first
        if threading.current_thread().name in ASKING_THREADS:
            if not is_first:
                happen()
            is_first = False

    engine = database.engine
    event.listen(engine, "before_cursor_execute", interrupt)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", interrupt)
