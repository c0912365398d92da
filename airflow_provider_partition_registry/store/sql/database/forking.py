"""What happens to databases when their process forks.

A connection to PostgreSQL cannot be shared, and one to SQLite must not be inherited at all. Before a fork all idle
connections are closed; with SQLite those are all, as its calls have ended. The child then starts anew.
"""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet

from sqlalchemy.engine import Dialect

from airflow_provider_partition_registry.store.fork_gate import ForkGate

fork_gate = ForkGate()
"""Passed by what must not be under way while the process forks."""


class Forked(Protocol):
    """What has connections."""

    def close(self) -> None:
        """Close the idle ones; they are opened again when needed."""

    def forget(self) -> None:
        """In a forked child: leave all of them to the parent, and start anew."""


_everything: WeakSet[Forked] = WeakSet()


def remember(database: Forked) -> None:
    """Look after a database, as long as it is in use."""
    _everything.add(database)


def connect_while_nobody_forks(
    dialect: Dialect, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Listens to ``do_connect``."""
    with fork_gate.passing():
        return dialect.connect(*arguments, **options)


def _close_idle_connections() -> None:
    fork_gate.shut()
    for database in tuple(_everything):
        database.close()


def _start_anew() -> None:
    fork_gate.renew()
    for database in tuple(_everything):
        database.forget()


os.register_at_fork(
    before=_close_idle_connections, after_in_parent=fork_gate.open, after_in_child=_start_anew
)
