"""Looking up an Airflow connection: for a task, and for the triggers of one event loop, which share a poller."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.runtime.compat import (
    AirflowNotFoundException,
    BaseHook,
    ask_in_thread,
    mask_secret,
)
from airflow_provider_partition_registry.runtime.settings import ConnectionSettings, how_to_configure
from airflow_provider_partition_registry.store.poller import Poller, shared_poller

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

# A poller asks in one thread and listens in another.
POLLER_CONNECTIONS = 2

LookUps = dict[str, asyncio.Task[ConnectionSettings]]
_warned_of: set[str] = set()  # connections
_look_ups: WeakKeyDictionary[asyncio.AbstractEventLoop, LookUps] = WeakKeyDictionary()


class RegistryConnectionNotFoundError(AirflowNotFoundException):
    """The Airflow connection is not configured; the message says how to configure it."""


def missing_connection(conn_id: str) -> RegistryConnectionNotFoundError:
    """The error that says how to configure the connection."""
    return RegistryConnectionNotFoundError(
        f"The Airflow connection {conn_id!r} is not configured. {how_to_configure(conn_id)}"
    )


def settings_of(connection: Connection) -> ConnectionSettings:
    """Read a connection, and mask its secrets in logs.

    :raises InvalidInputError: it does not say where the registry is.
    """
    try:
        return read_connection(connection)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"The Airflow connection {connection.conn_id!r} cannot be used. {error}"
        ) from error


def read_connection(connection: Connection) -> ConnectionSettings:
    """As :func:`settings_of`, but the errors do not name the connection."""
    settings = ConnectionSettings.of_connection(connection)
    for secret in settings.secrets:
        mask_secret(secret)
    return settings


async def poller_of(conn_id: str) -> Poller:
    """The poller that all triggers of this triggerer for the same registry share.

    :raises RegistryConnectionNotFoundError: there is no such connection.
    :raises InvalidInputError: it does not say where the registry is.
    """
    settings = await shared_settings(conn_id)
    if settings.is_on_one_host and conn_id not in _warned_of:
        _warned_of.add(conn_id)
        log.warning(
            "The registry of connection %r is a SQLite file, which the processes of one host share: waits end only if "
            "the triggerer runs on the host where the data's writers do. (This is said once in a process.)",
            conn_id,
        )
    # Everything that opening depends on, so that a connection can be corrected while others wait.
    door = (settings.url, settings.access_token, settings.verify, settings.timeout)
    return shared_poller(door, lambda: settings.open(pool_size=POLLER_CONNECTIONS))


async def shared_settings(conn_id: str) -> ConnectionSettings:
    """The connection's settings. Simultaneous callers share one look-up.

    A triggerer starts all its triggers at once, and each look-up goes through Airflow's supervisor. The answer is not
    kept, so that a connection can be edited.
    """
    running = _look_ups.setdefault(asyncio.get_running_loop(), {})

    def forget(look_up: asyncio.Task[ConnectionSettings]) -> None:
        del running[conn_id]
        if not look_up.cancelled():
            look_up.exception()  # Retrieved, even if nobody waits any more: asyncio complains otherwise.

    if conn_id not in running:
        running[conn_id] = asyncio.create_task(_look_up(conn_id))
        running[conn_id].add_done_callback(forget)
    # A trigger that is cancelled must not cancel the look-up for the others.
    return await asyncio.shield(running[conn_id])


async def _look_up(conn_id: str) -> ConnectionSettings:
    try:
        connection = await _find_connection(conn_id)
    except AirflowNotFoundException as error:
        raise missing_connection(conn_id) from error
    # In a thread: masking secrets reports them to Airflow's supervisor, for which the event loop must not wait.
    return await ask_in_thread(settings_of, connection)


async def _find_connection(conn_id: str) -> Connection:
    if hasattr(BaseHook, "aget_connection"):  # Airflow 3.1 and later
        return await BaseHook.aget_connection(conn_id)
    return await ask_in_thread(BaseHook.get_connection, conn_id)
