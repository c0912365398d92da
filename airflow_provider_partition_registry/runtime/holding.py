"""Holding the lock on a partition while code writes it: a thread renews the lease until the code is done."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.errors import (
    NotLockHolderError,
    StoreUnavailableError,
    UnknownError,
)
from airflow_provider_partition_registry.runtime.errors import LockLostError

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.intervals import Interval
    from airflow_provider_partition_registry.domain.models import Partition
    from airflow_provider_partition_registry.store.contract import RegistryStore

RENEWED_AFTER = 1 / 3
"""The part of a lease after which it is renewed: an outage may take up most of the rest."""
TRIED_AGAIN_AFTER = 1 / 30
"""The part of a lease after which a renewal that failed is tried again."""
LOST = (NotLockHolderError, UnknownError)
"""The errors by which a registry says that a lock is gone."""

log = logging.getLogger(__name__)


class PartitionWrite:
    """A partition while it is written, under a lock whose lease a thread renews.

    :param store: the registry; used by two threads at a time.
    :param locked: the partition as it was when the lock was granted.
    :param lease: by which the lock is renewed.
    :param taken_at: the time of ``time.monotonic()`` just before the lock was taken.
    :param is_taken_up: whether the task held the lock already: an earlier try that was killed may have written.
    """

    def __init__(
        self,
        store: RegistryStore,
        locked: Partition,
        lease: timedelta,
        *,
        taken_at: float,
        is_taken_up: bool,
    ) -> None:
        self._store = store
        self._locked = locked
        self._lease = lease
        self.is_taken_up = is_taken_up
        self._held_until = taken_at + lease.total_seconds()
        self._loss: str | None = None
        self._process = os.getpid()
        self._is_over = threading.Event()
        # A daemon thread: a call that hangs must not keep this process from ending.
        self._thread = threading.Thread(target=self._keep, daemon=True, name="partition-lease")

    @property
    def partition(self) -> Partition:
        """The partition as it was when the lock was granted."""
        return self._locked

    @property
    def source_name(self) -> str:
        """The source that the partition belongs to."""
        return self._locked.source_name

    @property
    def provider_name(self) -> str:
        """The provider that supplies it."""
        return self._locked.provider_name

    @property
    def interval(self) -> Interval:
        """The partition's interval."""
        return self._locked.interval

    @property
    def generation(self) -> int:
        """The fencing token: each lock on this partition has a greater one than all before it.

        A storage system that remembers the greatest token it has seen can refuse late writes with a smaller one.
        """
        return self._locked.generation

    def require_lock(self) -> None:
        """Check that the lock is still this task's. Costs nothing while the lease is known to last.

        Call it before a step that must not happen beside another writer. Once it has raised, nothing is published,
        whatever becomes of the exception.

        :raises LockLostError: somebody else may be writing by now.
        """
        if self._loss is None and not self._is_lease_known_to_last:
            try:
                self._renew()
            except Exception as error:
                self._lose(
                    f"The lease is over, and whether the lock is still this task's cannot be proved. {error}"
                )
        if self._loss is not None:
            raise self._lost()

    @property
    def is_in_its_process(self) -> bool:
        """Whether this is the process that took the lock, not a fork of it."""
        return os.getpid() == self._process

    def start(self) -> None:
        """Start renewing the lease."""
        self._thread.start()

    def publish(self) -> None:
        """Publish: the data may be read from now on. If the registry is down, retry for as long as the lease lasts.

        A lease that ran out does not matter if nobody took the lock over (R5): success of this call proves that.

        :raises LockLostError: the lock is no longer this task's; nothing is published.
        :raises StoreUnavailableError: the registry did not answer for too long.
        """
        self._finish(lambda: self._store.unlock(self._locked.key, generation=self.generation))
        log.info(
            "Published %s of source %s, generation %s.", self.interval, self.source_name, self.generation
        )

    def release(self) -> None:
        """Release the lock, as nothing was written: the partition goes back to what it was before (R4).

        :raises LockLostError: the lock is no longer this task's.
        :raises StoreUnavailableError: the registry did not answer for too long.
        """
        self._finish(lambda: self._store.release(self._locked.key, generation=self.generation))
        log.info("Released %s of source %s: nothing was written.", self.interval, self.source_name)

    def fail(self, reason: str) -> None:
        """Mark the partition as failed. If that fails it is only logged: the task already ends with its own error."""
        self._is_over.set()
        try:
            self._store.fail(self._locked.key, generation=self.generation, reason=reason)
        except Exception as error:
            log.warning(
                "%s of source %s cannot be marked as failed. %s If it is still locked by this task, readers go on "
                "waiting, and when the lease is over others may take the lock over.",
                self.interval,
                self.source_name,
                error,
            )
        else:
            log.info("Marked %s of source %s as failed.", self.interval, self.source_name)

    def _finish(self, call: Callable[[], Partition]) -> None:
        self._is_over.set()
        if self._loss is not None:
            raise self._lost()
        is_told = False
        while True:
            try:
                call()
            except LOST as error:
                self._lose(error.message)
                raise self._lost() from error
            except StoreUnavailableError as error:
                if not self._is_lease_known_to_last:
                    raise error.continued(
                        "The work is done, but as far as is known here the partition is still locked. A retry of this "
                        "task does it again under a new lock."
                    ) from error
                if not is_told:
                    log.warning(
                        "The work is done, but the registry could not be told yet; trying again. %s", error
                    )
                is_told = True
            else:
                return
            time.sleep(self._seconds * TRIED_AGAIN_AFTER)

    def _keep(self) -> None:
        pause, told = self._seconds * RENEWED_AFTER, ""
        while not self._is_over.wait(pause):
            try:
                self._renew()
            except Exception as error:  # of any kind, as nobody else renews the lease
                if self._is_over.is_set() or self._loss is not None:
                    return
                if str(error) != told:
                    log.warning("The lease cannot be renewed; trying again. %s", error)
                pause, told = self._seconds * TRIED_AGAIN_AFTER, str(error)
            else:
                pause, told = self._seconds * RENEWED_AFTER, ""

    def _renew(self) -> None:
        """Renew the lease, or note that the lock is lost."""
        asked_at = time.monotonic()
        try:
            self._store.renew(self._locked.key, generation=self.generation, lease=self._lease)
        except LOST as error:
            if not self._is_over.is_set():
                self._lose(error.message)
            raise
        self._held_until = max(self._held_until, asked_at + self._seconds)

    def _lose(self, why: str) -> None:
        if self._loss is None:
            self._loss = why
            log.error("%s", self._lost())

    def _lost(self) -> LockLostError:
        return LockLostError(
            f"Not published: the lock on {self.interval} of source {self.source_name!r} (provider "
            f"{self.provider_name!r}, generation {self.generation}) was lost while it was written. {self._loss}"
        )

    @property
    def _is_lease_known_to_last(self) -> bool:
        return time.monotonic() < self._held_until

    @property
    def _seconds(self) -> float:
        return self._lease.total_seconds()
