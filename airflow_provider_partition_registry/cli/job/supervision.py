"""Watching over a command that runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.job.command import Command
from airflow_provider_partition_registry.cli.job.events import (
    ENDING_SIGNALS,
    CommandEnded,
    Events,
    LockLost,
    NewsHeard,
    SignalReceived,
)
from airflow_provider_partition_registry.cli.job.lease import LeaseKeeper


@dataclass(frozen=True, slots=True)
class Loss:
    """The lock is lost.

    :param is_certain: the registry said so; else the lease is over without an answer, and others may have taken it.
    """

    why: str
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended, and what came before: a signal by which somebody wanted it to, the loss of the lock."""

    status: int
    signum: int | None = None
    loss: Loss | None = None

    @property
    def is_success(self) -> bool:
        """Whether it is finished: exit code 0, of its own accord. Told to end, many end with 0 half-way."""
        return self.status == 0 and self.signum is None and self.loss is None

    @property
    def exit_code(self) -> int:
        """What a shell would say, but for a lost lock."""
        if self.loss is not None:
            return ExitCode.CONFLICT
        if self.status == 0 and self.signum is not None:
            return 128 + self.signum
        return self.status if self.status >= 0 else 128 - self.status

    def in_words(self, program: str) -> str:
        """How it ended, in a sentence."""
        how = f"exit code {self.status}" if self.status >= 0 else f"signal {_name(-self.status)}"
        words = f"{program} ended with {how}"
        if self.loss is not None:
            return f"{words} after its lease could not be renewed in time."
        return f"{words} after the run got {_name(self.signum)}." if self.signum else f"{words}."


@dataclass(slots=True)
class Supervision:
    """Watches over a command that runs: passes signals on, and ends it when the lock is lost."""

    command: Command
    keeper: LeaseKeeper
    events: Events
    grace: float
    tell_of_loss: Callable[[str], None]
    _signum: int | None = None
    _loss: Loss | None = None
    _kill_at: float | None = None

    def until_it_ends(self) -> Ending:
        """Watch, and return how the command ended."""
        while True:
            match self.events.next(self._seconds_to_wait()):
                case CommandEnded(status):
                    if self._kill_at is not None:
                        self.command.send(signal.SIGKILL)  # what it started may still be writing
                    self.command.close()
                    return Ending(status, self._signum, self._loss)
                case SignalReceived(signum):
                    self._pass_on(signum)
                case LockLost(why):
                    self._lose(Loss(why, is_certain=True))
                case NewsHeard():
                    pass  # late: the lock is ours
                case None:
                    self._time_is_over()

    def _seconds_to_wait(self) -> float:
        moments = [] if self._loss else [self.keeper.safe_until]
        moments += [] if self._kill_at is None else [self._kill_at]
        return min(moments) - time.monotonic()

    def _pass_on(self, signum: int) -> None:
        self.command.pass_on(signum)
        if signum in ENDING_SIGNALS:
            self._signum = signum
            self._kill_after(self.grace)

    def _lose(self, loss: Loss) -> None:
        self._loss = loss
        self.tell_of_loss(loss.why)
        self.command.send(signal.SIGTERM)
        # While others may not write yet, it must be over before they may.
        self._kill_after(self.grace if loss.is_certain else self.keeper.reserve)

    def _time_is_over(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self.command.send(signal.SIGKILL)
            self._kill_at = now + self.grace  # again, if need be: it may take the kernel a while
        if self._loss is None and now >= self.keeper.safe_until:
            self._lose(Loss("Its lease is nearly over and cannot be renewed: others may take it.", False))

    def _kill_after(self, seconds: float) -> None:
        kill_at = time.monotonic() + seconds
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return str(signum)
