"""Notifications of changes: on PostgreSQL of changes by anybody, with SQLite of changes by this process."""

from __future__ import annotations

import selectors
from pathlib import Path
from threading import Condition
from typing import Any

import psycopg2
from sqlalchemy import exc as sqlalchemy_errors

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.store.contract import Listener
from airflow_provider_partition_registry.store.sql.changes.history import CHANNEL
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.failures import reason_of
from airflow_provider_partition_registry.store.sql.database.session import is_behind_pooler

_listeners: set[ProcessListener] = set()


def open_postgres_listener(database: Database) -> PostgresListener | None:
    """Subscribe to changes; None behind a pooler, where nobody knows which session will be notified.

    :raises StoreUnavailableError: the database cannot be reached.
    """
    try:
        # Not one of our pool: LISTEN belongs to a session for as long as it lasts. The driver's connection is used, as
        # the pool rolls back before closing, which fails with a traceback if the server is gone.
        pooled: Any = database.engine.raw_connection()
        info = pooled.info
        pooled.detach()
        connection = pooled.dbapi_connection
        if is_behind_pooler(info):
            connection.close()
            return None
        with database.time_limit(connection), connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
    except (sqlalchemy_errors.DBAPIError, sqlalchemy_errors.TimeoutError, psycopg2.Error) as error:
        raise _lost(database, error) from error
    return PostgresListener(database, connection)


class PostgresListener(Listener):
    """Waits on the socket of a connection of its own.

    If it raises that the database cannot be reached, a new listener has to be opened; notifications sent in between are
    lost.

    :param connection: the driver's, which listens.
    """

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._connection = connection
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ)

    def wait(self, timeout: float) -> frozenset[str] | None:
        notifications = self._connection.notifies
        try:
            if not notifications and self._selector.select(timeout):
                self._connection.poll()
            heard = frozenset(notification.payload for notification in notifications)
            notifications.clear()
        except (psycopg2.Error, OSError, ValueError) as error:
            raise _lost(self._database, error) from error
        return heard or None

    def close(self) -> None:
        self._selector.close()
        self._connection.close()


def _lost(database: Database, error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"Cannot listen to {database.name}: {reason_of(error)}")


class ProcessListener(Listener):
    """Is notified of this process's changes to a SQLite database; polling finds those of other processes.

    :param file: the database.
    """

    hears_everybody = False

    def __init__(self, file: Path) -> None:
        self._file = file.resolve()
        self._news: set[str] = set()
        self._told = Condition()
        _listeners.add(self)

    def wait(self, timeout: float) -> frozenset[str] | None:
        with self._told:
            self._told.wait_for(lambda: self._news, timeout)
            heard, self._news = frozenset(self._news), set()
        return heard or None

    def close(self) -> None:
        _listeners.discard(self)

    def hear(self, file: Path, source_name: str) -> None:
        """Wake the waiting thread if the changed file is this listener's database."""
        if file.resolve() == self._file:
            with self._told:
                self._news.add(source_name)
                self._told.notify()


def tell_process(file: Path, source_name: str) -> None:
    """Notify the listeners in this process of a committed change."""
    for listener in tuple(_listeners):
        listener.hear(file, source_name)
