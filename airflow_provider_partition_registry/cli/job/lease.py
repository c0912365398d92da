"""Keeping a lock while a command runs: a thread that renews the lease and checks whether the lock is still ours."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from airflow_provider_partition_registry.cli.job.inbox import Inbox, LeaseRenewed, LockLost
from airflow_provider_partition_registry.domain.errors import PartitionStateError, RegistryError, UnknownError
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Partition
from airflow_provider_partition_registry.domain.wording import describe_lock
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.host_clock import now

RENEWED_AFTER = 1 / 3
"""The part of a lease after which it is renewed: an outage may take most of the rest."""
LOOKS = 10
"""How often per lease the lock is checked."""
LONGEST_PAUSE = 5.0  # seconds between two checks: a command that has lost its lock does harm


class LeaseKeeper:
    """Renews the lease of a lock while the context is entered, or until the lock is lost.

    :param taken_at: when the lock was taken, or just before, on the clock of leases.
    :param inbox: receives messages when the lease is renewed and when the lock is lost.
    :param warn: called with a sentence when the registry does not respond.
    """

    def __init__(
        self,
        store: RegistryStore,
        locked: Partition,
        lease: timedelta,
        *,
        taken_at: float,
        inbox: Inbox,
        warn: Callable[[str], None],
    ) -> None:
        self._store = store
        self._locked = locked
        self._lease = lease
        self._seconds = lease.total_seconds()
        self._renewed_at = taken_at
        self._inbox = inbox
        self._warn = warn
        self._is_in_trouble = False
        self._stopped = threading.Event()
        # A daemon thread: a call that hangs must not keep this process from ending.
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lease")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()

    def _keep(self) -> None:
        pause = min(LONGEST_PAUSE, self._seconds / LOOKS)
        while not self._stopped.wait(pause):
            try:
                self._renew_or_look()
                self._is_in_trouble = False
            except (PartitionStateError, UnknownError) as error:
                self._inbox.put(LockLost(error.message))
                return
            except RegistryError as error:
                if not self._is_in_trouble:
                    self._warn(f"The lease cannot be renewed, the command goes on for now. {error.message}")
                self._is_in_trouble = True

    def _renew_or_look(self) -> None:
        moment = now()
        if self._is_in_trouble or moment >= self._renewed_at + self._seconds * RENEWED_AFTER:
            self._store.renew(self._locked.key, generation=self._locked.generation, lease=self._lease)
            self._renewed_at = moment
            self._inbox.put(LeaseRenewed(moment + self._seconds))
            return
        found = self._store.get_partition(self._locked.key)
        if found.generation != self._locked.generation or found.state not in LOCKED_STATES:
            raise PartitionStateError(_standing(found), found)


def _standing(partition: Partition) -> str:
    if partition.lock and partition.state in LOCKED_STATES:
        return f"It is locked by {describe_lock(partition.lock)}."
    reason = f": {partition.reason}" if partition.reason else ""
    return f"It is {partition.state.value} now{reason}."
