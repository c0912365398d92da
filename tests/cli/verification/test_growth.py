"""The cost of verifying grows with the rows, not with their square. Work is counted, not timed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Table, delete, event, insert
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.maintenance.verification.repairs import repair_history
from airflow_provider_partition_registry.store.sql.schema import tables
from tests.cli.verification.damage import START, hours

TIMES = 4
MOST_TIMES = 1.5 * TIMES  # of the work; with the square it would be 16


@dataclass(frozen=True)
class Size:
    """The size of a registry: how many partitions, and how often each was published."""

    sources: int = 1
    partitions: int = 10
    publications: int = 1


SMALL = Size(sources=5, partitions=40, publications=2)
LARGE = {
    "sources": replace(SMALL, sources=SMALL.sources * TIMES),
    "partitions": replace(SMALL, partitions=SMALL.partitions * TIMES),
    "publications": replace(SMALL, publications=SMALL.publications * TIMES),
}


@pytest.mark.parametrize("what", LARGE)
def test_the_work_grows_no_faster_than_the_rows(database: Database, what: str) -> None:
    small, large = _work_at(database, SMALL), _work_at(database, LARGE[what])
    assert large.keys() == small.keys()
    assert all(large[when] <= MOST_TIMES * small[when] for when in small), (small, large)


def _work_at(database: Database, size: Size) -> dict[str, float]:
    """The work of a verification, with and without analyzed tables; PostgreSQL analyzes its own sooner or later."""
    fill(database, size)
    look = _steps_of_sqlite if database.is_sqlite else _rows_in_postgres
    work = {"new": look(database)} if database.is_sqlite else {}
    database.read(lambda connection: connection.exec_driver_sql("ANALYZE"))
    return work | {"analyzed": look(database)}


def _steps_of_sqlite(database: Database) -> int:
    """How many instructions SQLite's virtual machine runs, in hundreds."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def begin(connection: Connection, *_: object) -> None:
        connection.connection.dbapi_connection.set_progress_handler(count, 100)

    with listening(database, begin):
        assert verify(database) == []
    return steps


def _rows_in_postgres(database: Database) -> float:
    """How many rows the steps of all statements read."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if "partition_registry_" in statement:
            sent.append((statement, parameters))

    with listening(database, note):
        assert verify(database) == []

    def explain(connection: Connection) -> float:
        rows = 0.0
        for statement, parameters in sent:
            plan = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            ).scalar()
            rows += _rows((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
        return rows

    return database.snapshot(explain, is_unlimited=True)


def _rows(plan: dict[str, Any]) -> float:
    names = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    mine = sum(plan.get(name, 0) for name in names) * plan.get("Actual Loops", 1)
    return mine + sum(map(_rows, plan.get("Plans", ())))


@contextmanager
def listening(database: Database, hear: Callable[..., None]) -> Iterator[None]:
    """Call a function before every statement."""
    event.listen(database.engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", hear)


def fill(database: Database, size: Size) -> None:
    """Fill an emptied registry with consecutive hours, as that many calls would have left them."""
    rows: dict[Table, list[dict[str, Any]]] = {table: [] for table in tables.metadata.sorted_tables}
    for number in range(1, size.sources + 1):
        _add_source(rows, number, size)

    def work(connection: Connection) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(delete(table))
        for table, values in rows.items():
            if values:
                connection.execute(insert(table), values)
        repair_history(connection)

    database.write(work)


def _add_source(rows: dict[Table, list[dict[str, Any]]], number: int, size: Size) -> None:
    mine, whose = {"source_id": number}, {"source_id": number, "provider_id": number}
    longest = tables.length_class_of(hours(0, 1))
    for table in (tables.source, tables.provider):
        rows[table].append(
            {"id": number, "name": f"n{number}", "registered_at": START}
            | ({"owner": "ann"} if table is tables.source else {})
        )
    rows[tables.length_class].append(mine | {"length_class": longest, "longest": tables.longest_of(longest)})
    rows[tables.ready_interval].append(mine | _ends(0, size.partitions))
    for hour in range(size.partitions):
        published = {"state": "ready", "generation": 0, "published_at": START, "exclusive": False}
        times = {"registered_at": START, "changed_at": START, "length_class": longest}
        rows[tables.partition].append(whose | _ends(hour, hour + 1) | published | times)
        kinds = [EventType.PARTITION_REGISTERED, *[EventType.UNLOCK] * size.publications]
        rows[tables.event] += [
            {"position": len(rows[tables.event]) + n, "type": kind.value, "at": START, "details": {}}
            | whose
            | _ends(hour, hour + 1)
            for n, kind in enumerate(kinds, start=1)
        ]


def _ends(start: int, end: int) -> dict[str, datetime]:
    return {"interval_start": hours(start, end).start, "interval_end": hours(start, end).end}
