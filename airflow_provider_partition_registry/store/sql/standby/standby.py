"""A standby, asked only where it proves that it is recent enough.

Whether it is, it says in the snapshot in which it then answers: there it shows the last heartbeat of this process that
it has (``heartbeat.py``), that it is a standby, and where the history is. If a standby took over and somebody wrote to
the registry there, its history is at another home than that of the primary to which the heartbeat was sent, and it is
not believed, nor is any standby that follows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import (
    RegistryError,
    SchemaError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.store import host_clock
from airflow_provider_partition_registry.store.listening import back_off
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.standby.heartbeat import SHOWN, Heartbeat

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_ARRIVES_WITHIN = 10.0  # seconds for the first heartbeat to arrive
LONGEST_TIMEOUT = 2.0  # seconds: the primary is still to be asked after it
CANNOT_ANSWER = (SchemaError, StoreRefusedError, StoreUnavailableError)
"""What is wrong with a standby rather than with what it is asked."""


class NotProvenError(Exception):
    """The standby may not answer, for the reason given."""


class Standby:
    """A standby of the primary.

    :param database: it.
    :param heartbeat: sent to its primary.
    """

    def __init__(self, database: Database, heartbeat: Heartbeat) -> None:
        self.database = database
        self._heartbeat = heartbeat
        # No lock guards these two: if threads overlook each other, one more of them tries the standby, or says so.
        self._failures = 0
        self._rests_until = float("-inf")

    def read(self, work: Callable[[Connection], T], max_age: float) -> T:
        """Run ``work``, which only reads, in a snapshot that contains whatever was acknowledged ``max_age`` ago.

        :param max_age: in seconds, up to the moment at which the answer is there.
        :raises NotProvenError: it is not proven that the standby has all that, or it does not answer.
        """
        self._heartbeat.prompt(max_age)
        newest = self._heartbeat.newest()
        if newest is None or _age(newest.at) > max_age:
            raise NotProvenError("The primary has not written down a heartbeat lately enough.")
        self._require_rested()
        try:
            found = self.database.snapshot(lambda connection: self._read(connection, work, max_age))
        except CANNOT_ANSWER as error:
            raise self._failed(error.message) from error
        self._has_answered()
        return found

    def close(self) -> None:
        """Close its connections; they are opened again when needed."""
        self._heartbeat.end()
        self.database.close()

    def _read(self, connection: Connection, work: Callable[[Connection], T], max_age: float) -> T:
        began_at = self._heartbeat_shown(connection)
        _require(began_at, max_age)
        try:
            found = work(connection)
        except RegistryError:  # This is an answer as well.
            _require(began_at, max_age)
            raise
        _require(began_at, max_age)
        return found

    def _heartbeat_shown(self, connection: Connection) -> float:
        """When the last heartbeat that it shows was begun. The snapshot begins with this statement."""
        (shown,) = SHOWN.run(connection, [(self._heartbeat.process,)])
        if not shown.is_standby:
            raise self._failed("It is no standby, or not any more.")
        sent = self._heartbeat.find(shown.number)
        if sent is None:
            reason = "It shows no heartbeat of this process: it is far behind, or follows another server."
            first_at = self._heartbeat.first_at
            if first_at is not None and _age(first_at) > FIRST_ARRIVES_WITHIN:
                raise self._failed(reason)
            raise NotProvenError(reason)
        if sent.home != shown.home:
            raise NotProvenError("Its history is not the primary's.")
        return sent.at

    def _require_rested(self) -> None:
        """Leave a standby that failed alone for a while (a circuit breaker); then one caller tries it for all."""
        if host_clock.now() < self._rests_until:
            raise NotProvenError("It has failed and is left alone for a while.")
        if self._failures:
            self._rests_until = host_clock.now() + LONGEST_TIMEOUT

    def _failed(self, reason: str) -> NotProvenError:
        self._failures += 1
        self._rests_until = host_clock.now() + back_off(self._failures)
        if self._failures == 1:
            log.warning(
                "The standby %s does not answer; the primary is asked. %s", self.database.name, reason
            )
        return NotProvenError(reason)

    def _has_answered(self) -> None:
        if self._failures:
            self._failures, self._rests_until = 0, float("-inf")
            log.warning("The standby %s answers again.", self.database.name)


def _age(began_at: float) -> float:
    return host_clock.now() - began_at


def _require(began_at: float, max_age: float) -> None:
    if _age(began_at) > max_age:
        raise NotProvenError(
            f"What it has may be {_age(began_at):.1f} s old, and only {max_age:g} s are accepted."
        )
