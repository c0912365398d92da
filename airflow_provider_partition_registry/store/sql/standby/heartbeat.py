"""Heartbeats: what a process writes at the primary, so that a standby can show what it has.

A standby replays the primary's transactions in the order of their commits. So if it shows what a process wrote, it also
shows whatever was acknowledged to anybody before the process began to write. No clocks of different hosts are compared,
no positions of logs that may be another server's: only the history that this process wrote into contains its heartbeat.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, column, delete, func, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.store import host_clock
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.database.forking import remember
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import heartbeat, history

ENDING_TAKES_AT_MOST = 1.0  # seconds
REMEMBERED_FOR = 600.0  # seconds; longer than the greatest age that may be asked for
FORGOTTEN_AFTER = timedelta(days=1)
"""After this time without a heartbeat the row of a process is removed."""


Write = Callable[[Callable[[Connection], Any]], Any]
"""Runs work in one transaction at the primary, and returns what it returns once it is committed."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A heartbeat that was written.

    :param at: when it was begun, by this host's clock: whatever was acknowledged before precedes it.
    :param home: where the history was then (R9), see ``changes/home.py``.
    """

    at: float
    home: str | None


class Heartbeat:
    """The heartbeats of this process, sent in the background and only while somebody asks for them.

    ``first_at`` is when the first one was begun, None until it is written.

    :param write: how it writes at the primary.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self.forget()
        remember(self)

    def forget(self) -> None:
        """Begin anew: a forked child is a process of its own."""
        self.process = secrets.token_hex(16)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._number = 0
        self._tried_at = float("-inf")
        self.first_at: float | None = None
        self._sent: dict[int, Sent] = {}

    def close(self) -> None:
        """Before a fork there is nothing to do: connections are the database's."""

    def end(self) -> None:
        """Wait for the one that is under way, but not for a primary that hangs."""
        thread = self._thread
        if thread is not None:
            thread.join(ENDING_TAKES_AT_MOST)

    def prompt(self, max_age: float) -> None:
        """Have the next one sent if the last one is half as old as allowed, so that a standby has time to replay it."""
        with self._lock:
            is_due = host_clock.now() - self._tried_at >= max_age / 2
            if not is_due or (self._thread is not None and self._thread.is_alive()):
                return
            self._tried_at = host_clock.now()
            self._thread = threading.Thread(
                target=self.send, name="partition-registry-heartbeat", daemon=True
            )
            self._thread.start()

    def find(self, number: int | None) -> Sent | None:
        """The heartbeat of a number that a standby shows; None if it is unknown or too long ago."""
        return None if number is None else self._sent.get(number)

    def newest(self) -> Sent | None:
        """The last one that was written."""
        with self._lock:
            return next(reversed(self._sent.values()), None)

    def send(self) -> None:
        """Send one now; nothing comes of it if the primary does not respond."""
        number, began_at = self._number + 1, host_clock.now()
        # Never used again, whatever becomes of it: a failed one may have been written all the same.
        self._number = number
        try:
            home = self._write(lambda connection: _write(connection, self.process, number))
        except RegistryError:
            return  # Whoever needs the primary is told so by asking it.
        with self._lock:
            self.first_at = self.first_at or began_at
            known = {each: sent for each, sent in self._sent.items() if began_at - sent.at < REMEMBERED_FOR}
            self._sent = {**known, number: Sent(began_at, home)}


def _write(connection: Connection, process: str, number: int) -> str | None:
    if number == 1:
        now = connection.execute(select(DatabaseNow())).scalar_one()
        connection.execute(delete(heartbeat).where(heartbeat.c.sent_at < now - FORGOTTEN_AFTER))
    new = insert(heartbeat).values(process=process, number=number, sent_at=DatabaseNow())
    written = new.on_conflict_do_update(
        index_elements=["process"], set_={each: new.excluded[each] for each in ("number", "sent_at")}
    ).returning(select(history.c.home).scalar_subquery())
    home: str | None = connection.execute(written).scalar()
    return home


_asking = table("asking", column("process", Text))
SHOWN = ValuesStatement(
    _asking,
    select(
        func.pg_is_in_recovery().label("is_standby"),
        select(heartbeat.c.number)
        .where(heartbeat.c.process == _asking.c.process)
        .scalar_subquery()
        .label("number"),
        select(history.c.home).scalar_subquery().label("home"),
    ).select_from(_asking),
)
"""What a server shows to the given process: whether it is a standby, its last heartbeat, and the history's home."""
