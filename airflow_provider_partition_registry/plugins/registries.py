"""The registries that an Airflow process's background threads ask: which they are, and whether they answer."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.runs.words import CONNECTION_FIELD
from airflow_provider_partition_registry.store.fork_gate import ForkGate

if TYPE_CHECKING:
    from airflow_provider_partition_registry.hooks.settings import RegistrySettings

_log = logging.getLogger(__name__)

LONGEST_DELAY = 300.0  # seconds between two attempts while a registry does not answer
CONNECTION_REMEMBERED = 60.0  # seconds, also that there is none

fork_gate = ForkGate()
"""Passed while modules are imported: a child born in the middle of an import could never import that module itself."""

os.register_at_fork(before=fork_gate.shut, after_in_parent=fork_gate.open, after_in_child=fork_gate.renew)


@dataclass
class Registry:
    """What is known of the registry behind an Airflow connection.

    :param settings: None while there is no such connection.
    :param known_until: when the connection is to be looked up again.
    :param failures: how often it did not answer, since it last did.
    :param silent_until: when it is to be asked again, by the clock of :func:`time.monotonic`.
    """

    conn_id: str
    settings: RegistrySettings | None = None
    known_until: float = 0.0
    failures: int = 0
    silent_until: float = 0.0

    def look_up(self) -> RegistrySettings | None:
        """What the connection says, remembered for a while."""
        if time.monotonic() >= self.known_until:
            self.settings = _read_connection(self.conn_id)
            self.known_until = time.monotonic() + CONNECTION_REMEMBERED
        return self.settings

    @property
    def is_to_be_asked(self) -> bool:
        """Whether it answered when it was asked last, or was left in peace long enough."""
        return time.monotonic() >= self.silent_until

    def answered(self) -> None:
        """Note that it did."""
        self.failures, self.silent_until = 0, 0.0

    def failed(self) -> None:
        """Leave it in peace for a while, for longer each time."""
        self.failures += 1
        self.silent_until = time.monotonic() + min(2.0 ** min(self.failures, 30), LONGEST_DELAY)


def uses_the_registry(dag: Any) -> bool:
    """Whether any task of a DAG, as the scheduler has it, is one of ours."""
    return any(
        hasattr(task, CONNECTION_FIELD) or CONNECTION_FIELD in getattr(task, "partial_kwargs", {})
        for task in getattr(dag, "tasks", ())
    )


def connections_of(dag: Any) -> set[str]:
    """The Airflow connections of the registries that a DAG, as the scheduler has it, may hold locks in."""
    from airflow_provider_partition_registry.hooks.settings import DEFAULT_CONN_ID

    found = {DEFAULT_CONN_ID}
    for task in getattr(dag, "tasks", ()):
        conn_id = getattr(task, CONNECTION_FIELD, None)
        conn_id = conn_id or getattr(task, "partial_kwargs", {}).get(CONNECTION_FIELD)
        # What a template says is known to the running task alone.
        if isinstance(conn_id, str) and "{{" not in conn_id:
            found.add(conn_id)
    return found


def _read_connection(conn_id: str) -> RegistrySettings | None:
    # As a whole, since Airflow imports much of itself, and what holds its connections, to look one up.
    with fork_gate.passing():
        from airflow_provider_partition_registry.domain.errors import RegistryError
        from airflow_provider_partition_registry.hooks.partition_registry import (
            PartitionRegistryHook,
            RegistryConnectionNotFoundError,
        )
        from airflow_provider_partition_registry.runs.identity import AmbiguousInstanceError, own_name

        try:
            settings = PartitionRegistryHook(conn_id).settings
            own_name(settings.instance, conn_id)
        except (RegistryConnectionNotFoundError, AmbiguousInstanceError):
            _log.debug("With the connection %s, or without it, nothing here could lock.", conn_id)
        except RegistryError as error:
            _log.warning("Locks of ended runs are not looked for. %s", error)
        else:
            return settings
    return None
