"""A run of a command under a lock, from taking the lock to finishing the partition."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePath

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.job.closing import Closing, lock_in_words
from airflow_provider_partition_registry.cli.job.command import Command
from airflow_provider_partition_registry.cli.job.inbox import Inbox
from airflow_provider_partition_registry.cli.job.launch import given_environment
from airflow_provider_partition_registry.cli.job.lease import LeaseKeeper
from airflow_provider_partition_registry.cli.job.listening import news_of
from airflow_provider_partition_registry.cli.job.reporting import Reporter
from airflow_provider_partition_registry.cli.job.retrying import GivenUpError, NoResponseError, Retrying
from airflow_provider_partition_registry.cli.job.supervision import Ending, Supervision
from airflow_provider_partition_registry.domain.errors import PartitionLockedError, StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import Holder, Partition, PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.host_clock import now

LONGEST_MARGIN = 1.0  # seconds at most between killing a command and the end of its lease


@dataclass(frozen=True, slots=True)
class Terms:
    """How to run a command.

    :param wait_for: how long to wait for somebody else's lock; None fails at once.
    :param grace: how long a command that is told to end may take before it is killed.
    :param retry_for: how long to keep reporting the result to a registry that does not respond.
    :param stderr_lines: how many of its last lines of standard error to quote in the reason of a failure.
    """

    lease: timedelta
    exclusive: bool
    wait_for: timedelta | None
    grace: timedelta
    retry_for: timedelta
    stderr_lines: int


@dataclass(slots=True)
class Run:
    """One run of a command.

    :param program: the path of the command's file.
    :param arguments: the command.
    """

    store: RegistryStore
    key: PartitionKey
    holder: Holder
    program: str
    arguments: Sequence[str]
    terms: Terms
    reporter: Reporter
    _inbox: Inbox = field(default_factory=Inbox)

    def execute(self) -> int:
        """Run the command under the lock, and return the exit code.

        :raises RegistryError: the lock could not be taken, so nothing was run.
        """
        with self._inbox.receiving_signals():
            try:
                taken_at, locked = self._lock()
            except GivenUpError as given_up:
                return self._not_locked(given_up)
            self.reporter.inform("locked", f"Locked {self.key}, {lock_in_words(locked)}.", locked)
            return self._run(locked, taken_at)

    def _lock(self) -> tuple[float, Partition]:
        def take() -> tuple[float, Partition]:
            taken_at = now()
            return taken_at, self.store.lock(
                self.key,
                holder=self.holder,
                lease=self.terms.lease,
                exclusive=self.terms.exclusive,
                register=True,
            )

        if self.terms.wait_for is None:
            return Retrying(timedelta.max, (), "", "").run(take, self._inbox, self.reporter)
        passing = (PartitionLockedError, StoreUnavailableError)
        retrying = Retrying(self.terms.wait_for, passing, "waiting", "Still waiting.")
        with news_of(self.key.source_name, self.store, self._inbox):
            return retrying.run(take, self._inbox, self.reporter)

    def _not_locked(self, given_up: GivenUpError) -> int:
        remark = ""
        if isinstance(given_up.cause, NoResponseError):
            remark = " If the registry grants the lock after all, the lock ends with its lease."
        if given_up.signum is not None:
            told = f"Interrupted while waiting for {self.key}. The command was not run.{remark}"
            self.reporter.warn("interrupted", told)
            return 128 + given_up.signum
        told = f"Timed out waiting for {self.key}. The command was not run. {given_up.cause.message}{remark}"
        self.reporter.warn("timed_out", told)
        return ExitCode.TIMED_OUT

    def _run(self, locked: Partition, taken_at: float) -> int:
        closing = Closing(self.store, locked, self.terms.retry_for, self._inbox, self.reporter)
        try:
            ending, last_lines = self._run_command(locked, taken_at)
        except OSError as error:
            closing.fail(f"{self._program} cannot be started: {error.strerror}.")
            return 127 if isinstance(error, FileNotFoundError) else 126
        return self._close(closing, ending, last_lines)

    def _run_command(self, locked: Partition, taken_at: float) -> tuple[Ending, Sequence[str]]:
        """How the command ended, and its last lines of standard error.

        :raises OSError: it cannot be started.
        """
        lease, grace = self.terms.lease.total_seconds(), self.terms.grace.total_seconds()
        lease_ends, margin = taken_at + lease, min(LONGEST_MARGIN, lease / 10)
        command = Command(
            self.program,
            self.arguments,
            self._environment(locked),
            lease_ends=lease_ends,
            # A lease shorter than the grace must leave time to work, so the command gets less time to end.
            notice=min(grace, lease / 3),
            margin=margin,
            grace=grace,
            inbox=self._inbox,
        )
        with command, self._keeper(locked, taken_at):
            supervision = Supervision(
                command, self._inbox, lease_ends, margin, self._tell_of_loss, self._tell_of_rest
            )
            return supervision.until_it_ends(), command.last_lines(self.terms.stderr_lines)

    def _environment(self, locked: Partition) -> Mapping[bytes, bytes]:
        ours = {
            "PARTITION_REGISTRY_SOURCE": locked.source_name,
            "PARTITION_REGISTRY_PROVIDER": locked.provider_name,
            "PARTITION_REGISTRY_START": format_instant(locked.start),
            "PARTITION_REGISTRY_END": format_instant(locked.end),
            "PARTITION_REGISTRY_GENERATION": str(locked.generation),
            "PARTITION_REGISTRY_HOLDER": self.holder.identity,
        }
        return given_environment() | {os.fsencode(name): os.fsencode(value) for name, value in ours.items()}

    def _keeper(self, locked: Partition, taken_at: float) -> LeaseKeeper:
        return LeaseKeeper(
            self.store,
            locked,
            self.terms.lease,
            taken_at=taken_at,
            inbox=self._inbox,
            warn=lambda message: self.reporter.warn("trouble", message),
        )

    def _tell_of_loss(self, why: str) -> None:
        self.reporter.warn("lock_lost", f"Lost the lock on {self.key}; telling the command to stop. {why}")

    def _tell_of_rest(self, what: str) -> None:
        self.reporter.warn(
            "left_running",
            f"{self._program} ended with exit code 0, but left running: {what}. They may still write, and are waited "
            f"for. To end them instead: kill {os.getpid()}",
        )

    def _close(self, closing: Closing, ending: Ending, last_lines: Sequence[str]) -> int:
        if ending.loss is not None and ending.loss.is_certain:
            self.reporter.warn(
                "not_published", f"Not published: {self.key}. The lock was lost before the command ended."
            )
            return ExitCode.CONFLICT
        if ending.is_success:
            return closing.publish()
        closing.fail(ending.in_words(self._program), last_lines)
        return ending.exit_code

    @property
    def _program(self) -> str:
        """What the registry may know of the command. Its arguments are left out, as they may contain secrets."""
        return repr(PurePath(self.arguments[0]).name)
