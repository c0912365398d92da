"""Registries of any size, generated inside the database, with the same rows that as many calls would have left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionState
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions, tables
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store

PROVIDER = "loader"
OTHER_PROVIDER = "corrections"
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Series:
    """A source with consecutive partitions, all of the same length.

    :param count: how many.
    :param unpublished_every: one in this many partitions is only registered, not published. 0 for none.
    """

    source_name: str
    count: int
    step: timedelta = MINUTE
    unpublished_every: int = 0

    def interval(self, first: int, count: int = 1) -> Interval:
        """From the start of one partition to the end of another."""
        start = FIRST + first * self.step
        return Interval(start, start + count * self.step)


def create(url: str, *series: Series) -> SqlRegistryStore:
    """Fill an empty database with a registry that contains the series."""
    store = open_sql_store(url, pool_size=1, timeout=1_800)
    revisions.upgrade(store.database)
    for each in series:
        token = store.register_source(each.source_name, "benchmarks").access_token
        for provider in (PROVIDER, OTHER_PROVIDER):
            store.register_provider(provider, token)
        store.database.write(lambda connection, each=each: _fill(connection, each))  # type: ignore[misc]
    for statement in _AFTERWARDS[store.database.is_sqlite]:
        store.database.read(lambda connection, statement=statement: connection.execute(text(statement)))  # type: ignore[misc]
    return store


def check(store: SqlRegistryStore) -> None:
    """Stop if the registry differs from what calls would have made of it."""
    if found := verify(store.database):
        raise AssertionError("\n".join(each.description for each in found))


_AFTERWARDS = {False: ("VACUUM ANALYZE", "CHECKPOINT"), True: ("PRAGMA wal_checkpoint(TRUNCATE)",)}


def _fill(connection: Connection, series: Series) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    _execute(connection, series, [_COUNT_POSITIONS] if is_sqlite else [_TAKE_POSITIONS, _COUNT])


def fill_former_schema(connection: Connection, series: Series) -> None:
    """Fill the registry of a version before schema 0006, in which the source and the provider are registered."""
    _execute(connection, series, [_COUNT_POSITIONS])


def _execute(connection: Connection, series: Series, at_last: Sequence[TextClause]) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:
        # Checking references row by row would take longer than everything else; verify() checks all at once.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    partitions = _partitions(_NUMBERS[is_sqlite])
    for statement in (_LENGTH_CLASS, partitions, _READY_INTERVALS, _REGISTERED, _PUBLISHED, *at_last):
        needed = statement.compile().params
        connection.execute(
            statement, {name: value for name, value in _parameters(series).items() if name in needed}
        )


def _parameters(series: Series) -> dict[str, str | int]:
    length_class = tables.length_class_of(series.interval(0))
    return {
        "source": series.source_name,
        "provider": PROVIDER,
        "first": to_microseconds(FIRST),
        "step": series.step // timedelta(microseconds=1),
        "count": series.count,
        "unpublished_every": series.unpublished_every,
        "length_class": length_class,
        "longest": tables.longest_of(length_class),
        "now": to_microseconds(datetime.now(UTC)),
    }


_IDS = f"""(
    SELECT source.id AS source_id, provider.id AS provider_id
    FROM {tables.source} AS source, {tables.provider} AS provider
    WHERE source.name = :source AND provider.name = :provider
) AS ids"""

_LENGTH_CLASS = text(f"""
    INSERT INTO {tables.length_class} (source_id, length_class, longest)
    SELECT source_id, :length_class, :longest FROM {_IDS}""")

_NUMBERS = {
    False: "generate_series(CAST(0 AS BIGINT), :count - 1) AS n",
    True: """(
        WITH RECURSIVE counted (n) AS (
            SELECT 0 WHERE :count > 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < :count
        )
        SELECT n FROM counted
    ) AS numbers""",
}


def _partitions(numbers: str) -> TextClause:
    published = "COALESCE((n + 1) % NULLIF(:unpublished_every, 0) <> 0, true)"
    return text(f"""
    INSERT INTO {tables.partition} (source_id, provider_id, interval_start, interval_end, length_class, state,
                                    generation, registered_at, changed_at, published_at, exclusive)
    SELECT source_id, provider_id, :first + n * :step, :first + (n + 1) * :step, :length_class,
           CASE WHEN {published} THEN '{PartitionState.READY}' ELSE '{PartitionState.REGISTERED}' END,
           0, :now, :now, CASE WHEN {published} THEN :now END, false
    FROM {_IDS}, {numbers}""")


_MINE = f"FROM {tables.partition} AS partition JOIN {_IDS} USING (source_id)"

_READY_INTERVALS = text(f"""
    INSERT INTO {tables.ready_interval} (source_id, interval_start, interval_end)
    SELECT source_id, min(interval_start), max(interval_end)
    FROM (
        SELECT source_id, interval_start, interval_end,
               interval_start - :step * row_number() OVER (ORDER BY interval_start) AS island
        {_MINE} WHERE state = '{PartitionState.READY}'
    ) AS ready
    GROUP BY source_id, island""")


def _events(event_type: EventType, condition: str, holder: str) -> str:
    return f"""
    INSERT INTO {tables.event} (position, type, at, source_id, provider_id, interval_start, interval_end, holder,
                                details)
    SELECT (SELECT max(position) FROM {tables.event}) + row_number() OVER (ORDER BY interval_start),
           '{event_type}', :now, source_id, ids.provider_id, interval_start, interval_end, {holder}, '{{}}'
    {_MINE} WHERE {condition}"""


_REGISTERED = text(_events(EventType.PARTITION_REGISTERED, "true", "CAST(NULL AS TEXT)"))
_PUBLISHED = text(_events(EventType.UNLOCK, f"state = '{PartitionState.READY}'", ":provider"))
_TAKE_POSITIONS = text(
    f"SELECT setval('{tables.event_position.name}', (SELECT max(position) FROM {tables.event}))"
)
_COUNT_POSITIONS = text(
    f"UPDATE {tables.history} SET last_position = (SELECT max(position) FROM {tables.event})"
)
_COUNT = text(f"""
    UPDATE {tables.source} AS source
    SET event_count = (SELECT count(*) FROM {tables.event} AS event WHERE event.source_id = source.id)
    WHERE name = :source""")
