"""The registries that Airflow's pages show: those to which this Airflow has connections."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    StoreRefusedError,
    UnknownError,
)
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.compat import AirflowNotFoundException
from airflow_provider_partition_registry.runtime.connections import settings_of
from airflow_provider_partition_registry.runtime.settings import (
    CONN_TYPE,
    DEFAULT_CONN_ID,
    ConnectionSettings,
)

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore

AT_ONCE = 4
"""How many requests a process of Airflow's web server asks a registry at the same moment."""
PATIENCE = (
    5.0  # seconds for which a registry may let a page wait, also if its connection has a longer timeout
)
_VARIABLE = "AIRFLOW_CONN_"


@dataclass(frozen=True)
class _Opened:
    settings: ConnectionSettings
    store: RegistryStore


class ConnectedRegistries:
    """The registries behind Airflow's connections, opened when somebody looks at them for the first time."""

    def __init__(self) -> None:
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    def names(self) -> Sequence[str]:
        """The connections of this type that Airflow can list, the default one first. A secrets backend lists none."""
        found = {*_in_database(), *_in_environment()}
        return sorted(found, key=lambda name: (name != DEFAULT_CONN_ID, name))

    def reader(self, name: str) -> RegistryReader:
        """The registry behind a connection, wherever that is kept.

        :raises UnknownError: there is no such connection, or it leads to something else. Which, is not said.
        :raises StoreRefusedError: the connection does not say where the registry is.
        """
        settings = _settings_of(name)
        with self._lock:
            opened = self._opened.get(name)
            if opened is None or opened.settings != settings:
                if opened is not None:
                    opened.store.close()
                opened = self._opened[name] = _Opened(settings, settings.open(pool_size=AT_ONCE))
        return opened.store


def _settings_of(name: str) -> ConnectionSettings:
    try:
        connection = PartitionRegistryHook.get_connection(name)
        settings = settings_of(connection) if connection.conn_type == CONN_TYPE else None
    except AirflowNotFoundException:
        settings = None
    except InvalidInputError as error:
        raise StoreRefusedError(str(error)) from error
    if settings is None:
        raise UnknownError(f"This Airflow has no connection {name!r} to a partition registry.")
    return replace(settings, timeout=min(settings.timeout, PATIENCE))


def _in_database() -> Iterator[str]:
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    with create_session() as session:
        for (conn_id,) in session.query(Connection.conn_id).filter_by(conn_type=CONN_TYPE):
            yield conn_id


def _in_environment() -> Iterator[str]:
    for variable, value in os.environ.items():
        if variable.startswith(_VARIABLE) and _conn_type(value) == CONN_TYPE:
            yield variable.removeprefix(_VARIABLE).lower()


def _conn_type(value: str) -> str:
    """The type of a connection that is written as JSON or as a URI; empty if it cannot be read."""
    if not value.lstrip().startswith("{"):
        return value.partition(":")[0].replace("-", "_").lower()
    try:
        return str(json.loads(value).get("conn_type", ""))
    except ValueError:
        return ""
