"""SQL homes: opened on a manual clock, and looked into behind the contract's back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select

from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from airflow_provider_partition_registry.store.sql.tables import ready_interval, source
from airflow_provider_partition_registry.store.sql.verification import verify
from tests.contract.homes import Home, ManualClock, Span


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
def sql_home(url: str) -> Iterator[Home]:
    clock = ManualClock()
    with open_sql_store(url, pool_size=2, timeout=10, clock=clock) as store:
        yield Home(
            store,
            clock,
            stored_ready_spans=lambda source_name: stored_ready_spans(store, source_name),
            verify=lambda: verify(store.database),
        )
