"""Registries for the Airflow tests: with sources, providers and a connection that leads to them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store

SOURCES = ("sales", "clicks")
PROVIDERS = ("loader", "other")
DAY = {"source_name": "sales", "start": "2026-11-01", "end": "2026-11-02"}
THE_DAY = Interval("2026-11-01", "2026-11-02")

IN_CONNECTION = {"provider": "loader", "instance": "here"}

Connect = Callable[..., None]
Later = Callable[..., None]


def with_providers(store: RegistryStore) -> RegistryStore:
    """Register the sources and providers; every provider may write to every source."""
    for source in SOURCES:
        token = store.register_source(source, "a-team").access_token
        for provider in PROVIDERS:
            store.register_provider(provider, token)
    return store


def publish(
    store: RegistryStore, source: str = "sales", interval: Interval = THE_DAY, provider: str = "loader"
) -> None:
    store.lock(PartitionKey(source, provider, interval), register=True)
    store.unlock(PartitionKey(source, provider, interval))


def fail(
    store: RegistryStore, source: str = "sales", interval: Interval = THE_DAY, provider: str = "loader"
) -> None:
    store.lock(PartitionKey(source, provider, interval), register=True)
    store.fail(PartitionKey(source, provider, interval), reason="disk full")


def the_partition(store: RegistryStore, source: str = "sales", provider: str = "loader") -> Partition:
    """The partition of the one day that most tests are about."""
    return store.get_partition(PartitionKey(source, provider, THE_DAY))


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "registry.db"
    with open_store(f"sqlite:///{path}") as store:
        with_providers(store)
    return path


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Defines an Airflow connection to a registry."""

    def define(host: str, conn_id: str = "partition_registry_default", **fields: Any) -> None:
        connection = {"conn_type": "partition_registry", "host": host} | fields
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return define


@pytest.fixture
def registry_url(registry_template: Path, tmp_path: Path) -> str:
    """A SQLite registry of this test's own."""
    return f"sqlite:///{shutil.copy(registry_template, tmp_path / 'registry.db')}"


@pytest.fixture
def registry(registry_url: str, connect: Connect) -> Iterator[RegistryStore]:
    """The same registry behind the default connection, whose tasks act as the provider "loader"."""
    connect(registry_url, extra=IN_CONNECTION)
    with open_store(registry_url) as store:
        yield store


@pytest.fixture
def postgres_registry(postgres_url: str, connect: Connect) -> Iterator[RegistryStore]:
    """As ``registry``, but on PostgreSQL."""
    connect(postgres_url, extra=IN_CONNECTION)
    with open_store(postgres_url, pool_size=2) as store:
        yield with_providers(store)


@pytest.fixture
def later() -> Iterator[Later]:
    """Does something while the test waits for its effect."""
    timers: list[threading.Timer] = []

    def call(seconds: float, action: Callable[..., Any], *arguments: Any) -> None:
        timers.append(threading.Timer(seconds, action, arguments))
        timers[-1].start()

    yield call
    for timer in timers:
        timer.join()
