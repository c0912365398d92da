"""Damaging a registry behind its store's back, and reading what ``db verify`` finds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify

START = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = 3_600_000_000
FIRST = to_microseconds(START)


def hours(start: int, end: int) -> Interval:
    return Interval(START + timedelta(hours=start), START + timedelta(hours=end))


def tamper(database: Database, *statements: str) -> None:
    """Change rows behind the store's back, without enforcing foreign keys."""

    def work(connection):
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        else:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in statements:
            connection.execute(text(statement.replace("{", "partition_registry_").replace("}", "")))

    database.write(work)


def kinds(database: Database) -> set[str]:
    return {each.kind.value for each in verify(database)}


def at(hour: int) -> int:
    return FIRST + hour * HOUR
