"""The floors that figures are compared with: the least that any answer and any change cost with the same engine."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text, bindparam, insert, select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.schema.tables import partition
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks.measuring import Call

_metadata = MetaData()
_table = Table(
    "benchmark_floor",
    _metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
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
