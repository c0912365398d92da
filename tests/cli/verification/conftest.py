"""A registry with partitions in every state, in each database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.verification.damage import hours


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, pool_size=4, timeout=30)
    with closing(database):
        yield database


@pytest.fixture
def store(database: Database) -> SqlRegistryStore:
    """A registry as :func:`fill` makes it."""
    return fill(database)


@pytest.fixture
def sqlite_store(migrated_sqlite_url: str) -> Iterator[SqlRegistryStore]:
    """As ``store``, in SQLite only."""
    with closing(Database(migrated_sqlite_url, pool_size=4, timeout=30)) as database:
        yield fill(database)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[SqlRegistryStore]:
    """As ``store``, in PostgreSQL only."""
    with closing(Database(postgres_url, pool_size=4, timeout=30)) as database:
        yield fill(database)


def fill(database: Database) -> SqlRegistryStore:
    """Hours [0, 10), [20, 30) and [40, 50) of a source are ready, [30, 31) is locked, [50, 51) failed."""
    store = SqlRegistryStore(database)
    token = store.register_source("sales", "data-team").access_token
    store.register_provider("nightly", token)
    for start, end in ((0, 10), (20, 25), (25, 30), (40, 50)):
        store.lock(PartitionKey("sales", "nightly", hours(start, end)), register=True)
        store.unlock(PartitionKey("sales", "nightly", hours(start, end)))
    store.lock(PartitionKey("sales", "nightly", hours(30, 31)), register=True)
    store.lock(PartitionKey("sales", "nightly", hours(50, 51)), register=True)
    store.fail(PartitionKey("sales", "nightly", hours(50, 51)), reason="disk full")
    store.register_partition(PartitionKey("sales", "nightly", hours(60, 61)))
    return store
