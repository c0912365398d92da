"""Registries to race in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from airflow_provider_partition_registry.store.sql.store import open_sql_store

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryStore
    from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore


@pytest.fixture
def store(database_url: str) -> Iterator[SqlRegistryStore]:
    """A registry in each SQL database; its source ``s`` has the providers ``p0`` to ``p3``."""
    with open_sql_store(database_url, pool_size=4, timeout=30) as store:
        register(store, "s", 4)
        yield store


def register(store: RegistryStore, source_name: str, providers: int) -> None:
    """Register a source and so many providers for it."""
    token = store.register_source(source_name, "ann").access_token
    for number in range(providers):
        store.register_provider(f"p{number}", token)
