"""Services for a whole module of tests, and how to call them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_database
from testbed.service import ServiceThread

ADMINISTRATOR_TOKEN = "of-the-administrator"
START, END = "2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z"
DAY = {"start": START, "end": END}


@contextmanager
def served(url: str, **settings: Any) -> Iterator[tuple[httpx.Client, RegistryStore]]:
    """A service in a thread: a client for it, and the registry behind it."""
    with (
        open_database(url, pool_size=8) as store,
        ServiceThread(ServiceSettings(url, **settings), store) as service,
        caller(service.url) as client,
    ):
        yield client, store


def caller(url: str) -> httpx.Client:
    """A client for a service on this machine, without a proxy."""
    return httpx.Client(base_url=url, timeout=60, trust_env=False)


def sqlite_at(folder: Path) -> str:
    """The URL of a registry in a file that is created when it is used."""
    return f"sqlite:///{folder / 'registry.db'}"


def bearer(token: str | None) -> dict[str, str]:
    """Headers that present a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}
