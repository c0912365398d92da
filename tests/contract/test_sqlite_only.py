"""Settings of SQLite other than its defaults, on every connection of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from threading import Barrier, Thread
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from tests.contract.homes import hours

POOL_SIZE = 3


@pytest.fixture
def store(migrated_sqlite_url: str) -> Iterator[SqlRegistryStore]:
    with closing(sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///"))) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # SQLite's default; the file remembers it
    with open_sql_store(migrated_sqlite_url, pool_size=POOL_SIZE, timeout=5) as opened:
        opened.register_provider("p", opened.register_source("s", "ann").access_token)
        yield opened


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("journal_mode", "wal", id="reader and writer do not wait for each other"),
        pytest.param("synchronous", 2, id="what was acknowledged survives a power cut"),
        pytest.param("foreign_keys", 1, id="no row names a source or provider that is not there"),
    ],
)
def test_every_connection_is_set_up(store: SqlRegistryStore, pragma: str, value: object) -> None:
    everybody, values = Barrier(POOL_SIZE), []

    def ask(connection: Any) -> None:
        values.append(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar())
        everybody.wait(30)  # so that each thread uses a connection of its own

    threads = [Thread(target=store.database.read, args=(ask,)) for _ in range(POOL_SIZE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [value] * POOL_SIZE


def test_what_others_refer_to_cannot_be_deleted(store: SqlRegistryStore) -> None:
    store.register_partition(PartitionKey("s", "p", hours(0, 1)))
    for table in ("source", "provider"):
        with pytest.raises(StoreRefusedError, match="FOREIGN KEY"):
            store.database.write(
                lambda connection, name=table: connection.exec_driver_sql(
                    f"DELETE FROM partition_registry_{name}"
                )
            )
    assert store.get_source("s").name == "s"
    assert store.get_provider("p").name == "p"


def test_a_reader_with_a_snapshot_keeps_no_writer_waiting(store: SqlRegistryStore) -> None:
    with store.database.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        count = "SELECT count(*) FROM partition_registry_partition"
        assert reader.exec_driver_sql(count).scalar() == 0
        store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        assert reader.exec_driver_sql(count).scalar() == 0
        reader.exec_driver_sql("ROLLBACK")
        assert reader.exec_driver_sql(count).scalar() == 1
