"""The registries that an Airflow process's background threads ask, and whether they respond."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_partition_registry.runtime.marks import CONNECTION_FIELD
from airflow_provider_partition_registry.store.fork_gate import ForkGate

if TYPE_CHECKING:
    from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
    from airflow_provider_partition_registry.store.contract import RegistryStore

T = TypeVar("T")

_log = logging.getLogger(__name__)

LONGEST_DELAY = 300.0  # seconds between two attempts while a registry does not respond
CONNECTION_REMEMBERED = 60.0  # seconds, also if there is none

fork_gate = ForkGate()
"""Held while modules are imported: a child forked in the middle of an import could never import that module itself."""

os.register_at_fork(before=fork_gate.shut, after_in_parent=fork_gate.open, after_in_child=fork_gate.renew)


class RestingError(Exception):
    """The registry does not respond, or did not recently and is not asked again yet."""


@dataclass
class Registry:
    """What is known about the registry behind an Airflow connection.

    :param settings: None while there is no such connection.
    :param known_until: when the connection is to be looked up again, by the clock of :func:`time.monotonic`.
    :param failures: how many times in a row it did not respond.
    :param rests_until: when it may be asked again, by the same clock.
    """

    conn_id: str
    settings: ConnectionSettings | None = None
    known_until: float = 0.0
    failures: int = 0
    rests_until: float = 0.0

    def ask(self, question: Callable[[RegistryStore, str], T], otherwise: str) -> T | None:
        """Ask the registry a question.

        :param question: called with the store and with this Airflow's name in it.
        :param otherwise: logged, before the reason, if there is no answer.
        :return: None if there is no such connection.
        :raises RestingError: the registry does not respond, or is not asked again yet (back-off).
        """
        if time.monotonic() < self.rests_until:
            raise RestingError
        try:
            settings = self._look_up()
            answer = None if settings is None else _ask(settings, self.conn_id, question)
        # An error of the registry, of Airflow's database, or of whatever stores the connections.
        except Exception as error:
            self.failures += 1
            self.rest(min(2.0 ** min(self.failures, 30), LONGEST_DELAY))
            _log.warning("%s %s", otherwise, error)
            raise RestingError from error
        self.failures = 0
        return answer

    def rest(self, seconds: float) -> None:
        """Ask nothing for a while."""
        self.rests_until = time.monotonic() + seconds

    def _look_up(self) -> ConnectionSettings | None:
        """The connection's settings, remembered for a while."""
        if time.monotonic() >= self.known_until:
            self.settings = _read_connection(self.conn_id)
            self.known_until = time.monotonic() + CONNECTION_REMEMBERED
        return self.settings


def uses_the_registry(dag: Any) -> bool:
    """Whether any task of a DAG, as the scheduler has it, uses an operator of this package."""
    return any(
        hasattr(task, CONNECTION_FIELD) or CONNECTION_FIELD in getattr(task, "partial_kwargs", {})
        for task in getattr(dag, "tasks", ())
    )


def connections_of(dag: Any) -> set[str]:
    """The Airflow connections of the registries in which a DAG, as the scheduler has it, may hold locks."""
    from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID

    found = {DEFAULT_CONN_ID}
    for task in getattr(dag, "tasks", ()):
        conn_id = getattr(task, CONNECTION_FIELD, None)
        conn_id = conn_id or getattr(task, "partial_kwargs", {}).get(CONNECTION_FIELD)
        # Only the running task knows what a template renders to.
        if isinstance(conn_id, str) and "{{" not in conn_id:
            found.add(conn_id)
    return found


def _read_connection(conn_id: str) -> ConnectionSettings | None:
    # The whole look-up passes the gate, since Airflow imports much of itself for it, and so do secrets backends.
    with fork_gate.passing():
        from airflow_provider_partition_registry.domain.errors import RegistryError
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.connections import RegistryConnectionNotFoundError
        from airflow_provider_partition_registry.runtime.identity import AmbiguousInstanceError, own_name

        try:
            settings = PartitionRegistryHook(conn_id).settings
            own_name(settings.instance, conn_id)
        except (RegistryConnectionNotFoundError, AmbiguousInstanceError):
            _log.debug("Connection %s cannot be used, so nothing here could have locked with it.", conn_id)
        except RegistryError as error:
            _log.warning("Locks of ended runs are not looked for. %s", error)
        else:
            return settings
    return None


def _ask(settings: ConnectionSettings, conn_id: str, question: Callable[[RegistryStore, str], T]) -> T:
    with fork_gate.passing():
        from airflow_provider_partition_registry.runtime.identity import own_name

        opened = settings.open()
    with opened as store:
        return question(store, own_name(settings.instance, conn_id))
