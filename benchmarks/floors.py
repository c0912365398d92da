"""The floors that figures are compared with: the least that any answer and any change cost with the same engine."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, Integer, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.schema.tables import length_class_of, partition
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks.data import PROVIDER, Series
from benchmarks.measuring import Call

_metadata = MetaData()
_table = Table(
    "benchmark_floor",
    _metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("name", Text, nullable=False),
)
_BY_KEY = select(partition.c.state).where(partition.c.id == bindparam("key"))
_INSERT = insert(_table)


def primary_key_select(store: SqlRegistryStore, key: int = 1) -> Call:
    """PK: one column of one partition by its primary key."""

    def look_up(connection: Connection) -> str:
        return str(connection.execute(_BY_KEY, {"key": key}).scalar_one())

    return lambda: store.database.read(look_up)


def insert_and_commit(store: SqlRegistryStore) -> Call:
    """INS: BEGIN, one row into a table of two columns, COMMIT."""
    store.database.write(_metadata.create_all)

    def add(connection: Connection) -> None:
        connection.execute(_INSERT, {"name": "a row"})

    return lambda: store.database.write(add)


def insert_rows(store: SqlRegistryStore, count: int) -> Call:
    """As many rows of the same kind in one INSERT, rolled back."""
    store.database.write(_metadata.create_all)
    values = ", ".join(["('a row')"] * count)
    return _roll_back(store, f"INSERT INTO {_table.name} (name) VALUES {values}")


def insert_partitions(store: SqlRegistryStore, series: Series, count: int) -> Call:
    """Partitions before the series in one INSERT, rolled back: what registering writes, but for the history."""
    source_id, provider_id = store.get_source(series.source_name).id, store.get_provider(PROVIDER).id
    intervals = [series.interval(-number) for number in range(1, count + 1)]
    values = ", ".join(
        f"({source_id}, {provider_id}, {to_microseconds(each.start)}, {to_microseconds(each.end)}, "
        f"{length_class_of(each)}, 'registered', 0, 0, 0, false)"
        for each in intervals
    )
    return _roll_back(
        store,
        f"INSERT INTO {partition.name} (source_id, provider_id, interval_start, interval_end, length_class, state, "
        f"generation, registered_at, changed_at, exclusive) VALUES {values}",
    )


def _roll_back(store: SqlRegistryStore, statement: str) -> Call:
    def run(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ROLLBACK")

    return lambda: store.database.read(run)
