"""The run of a command under a lock, from taking the lock to what becomes of the partition."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import PurePath
from typing import TypeVar

from airflow_provider_partition_registry.cli.errors import ExitCode, exit_code_of
from airflow_provider_partition_registry.cli.job.command import Command
from airflow_provider_partition_registry.cli.job.events import Events
from airflow_provider_partition_registry.cli.job.lease import LeaseKeeper
from airflow_provider_partition_registry.cli.job.supervision import Ending, Supervision
from airflow_provider_partition_registry.cli.job.telling import Teller
from airflow_provider_partition_registry.cli.options import Target
from airflow_provider_partition_registry.domain.errors import (
    PartitionLockedError,
    RegistryError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import Holder, Partition
from airflow_provider_partition_registry.domain.names import MAX_TEXT_LENGTH
from airflow_provider_partition_registry.store.base import RegistryStore

T = TypeVar("T")

LONGEST_PAUSE = 5.0  # seconds between two attempts at what somebody else's lock or an outage prevents


@dataclass(frozen=True, slots=True)
class Terms:
    """How a command is to be run.

    :param wait_for: how long to wait for somebody else's lock; None fails at once.
    :param grace: how long a command that is told to end may take before it is killed.
    :param patience: how long to go on trying to tell a registry that does not answer how it ended.
    :param kept_lines: how many of its last lines on standard error become part of the reason of a failure.
    """

    lease: timedelta
    exclusive: bool
    wait_for: timedelta | None
    grace: timedelta
    patience: timedelta
    kept_lines: int


class _GivenUpError(Exception):
    """What was to be done was not done: the time was over, or somebody wanted us to end."""

    def __init__(self, cause: RegistryError, signum: int | None) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.signum = signum


@dataclass(slots=True)
class Run:
    """One run.

    :param arguments: the command.
    """

    store: RegistryStore
    target: Target
    holder: Holder
    arguments: Sequence[str]
    terms: Terms
    teller: Teller
    _events: Events = field(default_factory=Events)

    def execute(self) -> int:
        """Do everything, and return the exit code.

        :raises RegistryError: the lock cannot be had, so that nothing was run.
        """
        with self._events.of_signals():
            try:
                taken_at, locked = self._lock()
            except _GivenUpError as given_up:
                return self._not_locked(given_up)
            self.teller.inform("locked", f"Locked {self.target}, {_lock_in_words(locked)}.", locked)
            return self._run(locked, taken_at)

    # The lock

    def _lock(self) -> tuple[float, Partition]:
        def take() -> tuple[float, Partition]:
            taken_at = time.monotonic()
            return taken_at, self.store.lock(
                *self.target,
                holder=self.holder,
                lease=self.terms.lease,
                exclusive=self.terms.exclusive,
                register=True,
            )

        if self.terms.wait_for is None:
            return take()
        passing = (PartitionLockedError, StoreUnavailableError)
        return self._persist(take, passing, self.terms.wait_for, "waiting", "Waiting goes on.")

    def _not_locked(self, given_up: _GivenUpError) -> int:
        if given_up.signum is not None:
            self.teller.warn("interrupted", f"Interrupted while waiting for {self.target}. Nothing was run.")
            return 128 + given_up.signum
        self.teller.warn(
            "timed_out", f"Waited too long for {self.target}. Nothing was run. {given_up.cause.message}"
        )
        return ExitCode.TIMED_OUT

    # The command

    def _run(self, locked: Partition, taken_at: float) -> int:
        grace = self.terms.grace.total_seconds()
        keeper = LeaseKeeper(
            self.store,
            locked,
            self.terms.lease,
            taken_at=taken_at,
            reserve=min(grace, self.terms.lease.total_seconds() / 3),
            events=self._events,
            warn=lambda message: self.teller.warn("trouble", message),
        )
        try:
            command = Command(self.arguments, self._environment(locked), grace=grace, events=self._events)
        except OSError as error:
            return self._not_started(locked, error)
        keeper.start()
        ending = Supervision(command, keeper, self._events, grace, self._tell_of_loss).until_it_ends()
        keeper.stop()
        return self._finish(locked, command, ending)

    def _environment(self, locked: Partition) -> Mapping[str, str]:
        return {
            **os.environ,
            "PARTITION_REGISTRY_SOURCE": locked.source_name,
            "PARTITION_REGISTRY_PROVIDER": locked.provider_name,
            "PARTITION_REGISTRY_START": format_instant(locked.start),
            "PARTITION_REGISTRY_END": format_instant(locked.end),
            "PARTITION_REGISTRY_GENERATION": str(locked.generation),
            "PARTITION_REGISTRY_HOLDER": self.holder.identity,
        }

    def _not_started(self, locked: Partition, error: OSError) -> int:
        why = f"{self._program} cannot be started: {error.strerror}."
        self._fail(locked, why)
        return 127 if isinstance(error, FileNotFoundError) else 126

    def _tell_of_loss(self, why: str) -> None:
        self.teller.warn("lock_lost", f"Lost the lock on {self.target}; the command is told to end. {why}")

    # What becomes of the partition

    def _finish(self, locked: Partition, command: Command, ending: Ending) -> int:
        if ending.loss is not None and ending.loss.is_certain:
            self.teller.warn(
                "not_published", f"Not published: {self.target}. The lock was lost before the command ended."
            )
            return ExitCode.CONFLICT
        if ending.is_success:
            return self._publish(locked)
        self._fail(locked, ending.in_words(self._program), command.last_lines(self.terms.kept_lines))
        return ending.exit_code

    def _publish(self, locked: Partition) -> int:
        try:
            published = self._persist_to_the_end(
                lambda: self.store.unlock(*self.target, generation=locked.generation)
            )
        except _GivenUpError as given_up:
            self._tell_of_remains("publish", "unlock", locked, given_up)
            return ExitCode.UNAVAILABLE
        except RegistryError as error:
            self.teller.warn(error.code, f"The command succeeded, but nothing is published. {error.message}")
            return exit_code_of(error)
        self.teller.inform("published", f"Published {self.target}.", published)
        return ExitCode.DONE

    def _fail(self, locked: Partition, why: str, last_lines: Sequence[str] = ()) -> None:
        reason = _reason(why, last_lines)
        try:
            failed = self._persist_to_the_end(
                lambda: self.store.fail(*self.target, generation=locked.generation, reason=reason)
            )
        except _GivenUpError as given_up:
            self._tell_of_remains("mark as failed", "fail --reason ...", locked, given_up, why)
        except RegistryError as error:
            self.teller.warn(error.code, f"{why} It cannot be marked as failed. {error.message}")
        else:
            self.teller.warn("failed", f"{why} Marked as failed: {self.target}.", failed)

    def _tell_of_remains(
        self, verb: str, subcommand: str, locked: Partition, given_up: _GivenUpError, why: str | None = None
    ) -> None:
        source, provider, interval = self.target
        place = shlex.join(
            [
                source,
                provider,
                "--start",
                format_instant(interval.start),
                "--end",
                format_instant(interval.end),
            ]
        )
        self.teller.warn(
            "left_locked",
            f"{why or 'The command succeeded.'} Cannot {verb}: {given_up.cause.message} As far as known here, "
            f"{self.target} is still locked, {_lock_in_words(locked)}; readers go on waiting, and when the lease is "
            f"over others may take the lock over. Once the registry answers: "
            f"partition-registry {subcommand} {place} --generation {locked.generation}",
            locked,
        )

    def _persist_to_the_end(self, call: Callable[[], T]) -> T:
        passing = (StoreUnavailableError,)
        return self._persist(call, passing, self.terms.patience, "trouble", "The registry is asked again.")

    # Patience

    def _persist(
        self,
        call: Callable[[], T],
        passing: tuple[type[RegistryError], ...],
        patience: timedelta,
        code: str,
        consequence: str,
    ) -> T:
        """Call until it succeeds.

        :param passing: errors that time may cure.
        :raises _GivenUpError: the time is over, or somebody wants us to end.
        """
        give_up_at = time.monotonic() + patience.total_seconds()
        pause, told = 0.5, ""
        while True:
            try:
                return call()
            except passing as error:
                if error.message != told:
                    told = error.message
                    self.teller.inform(code, f"{told} {consequence}")
                rest = give_up_at - time.monotonic()
                signum = self._events.ending_signal(min(pause, rest)) if rest > 0 else None
                if rest <= 0 or signum is not None:
                    raise _GivenUpError(error, signum) from error
            pause = min(pause * 2, LONGEST_PAUSE)

    @property
    def _program(self) -> str:
        """What the registry may know of the command: its arguments may hold secrets."""
        return repr(PurePath(self.arguments[0]).name)


def _lock_in_words(locked: Partition) -> str:
    lock = locked.lock
    return f"by {lock.holder if lock else 'us'}, generation {locked.generation}"


def _reason(why: str, last_lines: Sequence[str]) -> str:
    """The reason of a failure: the end of what the command said counts most."""
    if not last_lines:
        return why
    opening = f"{why} Last lines of its standard error:\n"
    return opening + "\n".join(last_lines)[-(MAX_TEXT_LENGTH - len(opening)) :]
