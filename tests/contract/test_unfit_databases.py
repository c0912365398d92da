"""Databases that respond but are not usable: waiting must end with an error, as it would not help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    RegistryFileMissingError,
    SchemaMissingError,
    StoreRefusedError,
)
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.postgres import PostgresServer
from tests.conftest import upgrade
from tests.contract.homes import hours


def execute(url: str, statement: str) -> None:
    database = Database(url, pool_size=1, timeout=30)
    database.read(lambda connection: connection.exec_driver_sql(statement))
    database.close()


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.mark.postgres
class TestPostgres:
    def test_a_read_only_copy_is_not_asked(self, postgres_url: str) -> None:
        """A standby lags behind: it would call ready what is locked on its primary."""
        execute(
            postgres_url, f"ALTER DATABASE {name_of(postgres_url)} SET default_transaction_read_only = on"
        )
        with open_store(postgres_url) as store, pytest.raises(StoreRefusedError, match="writable primary"):
            store.check_readiness("s", hours(0, 1))

    def test_a_server_that_does_not_wait_for_its_disk_is_told_to(self, postgres_url: str) -> None:
        execute(postgres_url, f"ALTER DATABASE {name_of(postgres_url)} SET synchronous_commit = off")
        with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
            assert setting(store, "synchronous_commit") == "on"

    def test_a_stricter_server_is_left_alone(self, postgres_url: str) -> None:
        execute(postgres_url, f"ALTER DATABASE {name_of(postgres_url)} SET synchronous_commit = remote_apply")
        with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
            assert setting(store, "synchronous_commit") == "remote_apply"

    def test_an_account_without_rights(self, postgres_url: str) -> None:
        execute(postgres_url, "CREATE ROLE stranger LOGIN")
        try:
            store = open_store(postgres_url.replace("postgres@", "stranger@"))
            with store, pytest.raises(StoreRefusedError, match="permission denied") as caught:
                store.list_sources()
            assert "needs SELECT" in str(caught.value)
        finally:
            execute(postgres_url, "DROP ROLE stranger")

    def test_a_database_in_another_encoding(self, postgres: PostgresServer) -> None:
        execute(postgres.url(), "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        try:
            with open_store(upgrade(postgres.url("latin"))) as store:
                store.register_source("größe", "jürgen")
                assert store.get_source("größe").owner == "jürgen"
                with pytest.raises(InvalidInputError, match="encoding UTF8"):
                    store.register_source("数据", "ann")
        finally:
            postgres.drop_database("latin")


@pytest.mark.parametrize("table", ["source", "provider"])
def test_only_a_name_that_is_taken_is_called_taken(database_url: str, table: str) -> None:
    with open_store(database_url) as store:
        token = store.register_source("s", "ann").access_token
        store.register_provider("p", token)
        make_ids_collide(database_url, f"partition_registry_{table}")
        with pytest.raises(StoreRefusedError, match="partition_registry_"):
            store.register_source("t", "ann") if table == "source" else store.register_provider("q", token)


def make_ids_collide(url: str, table: str) -> None:
    """Restore a state as after a backup whose sequences were left behind."""
    if url.startswith("sqlite"):
        execute(
            url,
            f"CREATE TRIGGER collide BEFORE INSERT ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: {table}.id'); END",
        )
    else:
        execute(url, f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1, false)")


def setting(store: SqlRegistryStore, name: str) -> str:
    return store.database.read(lambda connection: connection.exec_driver_sql(f"SHOW {name}").scalar())


def test_a_ping_creates_no_file(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store, pytest.raises(RegistryFileMissingError):
        store.ping()
    assert not Path(sqlite_url.removeprefix("sqlite:///")).exists()


@pytest.mark.postgres
def test_a_ping_creates_no_tables(new_postgres_url: Callable[..., str]) -> None:
    with open_store(new_postgres_url(None)) as store, pytest.raises(SchemaMissingError):
        store.ping()


def test_a_sqlite_file_that_is_no_database(sqlite_url: str) -> None:
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    file.write_text("This is a letter, not a database. " * 100)
    with open_store(sqlite_url) as store, pytest.raises(StoreRefusedError, match="not a database"):
        store.list_sources()
    assert file.read_text().startswith("This is a letter")
