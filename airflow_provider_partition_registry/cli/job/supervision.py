"""Supervising a running command."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.job.command import Command
from airflow_provider_partition_registry.cli.job.inbox import (
    ENDING_SIGNALS,
    CommandEnded,
    CommandLeft,
    CommandUnfit,
    GuardianGone,
    Inbox,
    LeaseIsOver,
    LeaseRenewed,
    LockLost,
    Message,
    SignalReceived,
)
from airflow_provider_partition_registry.store.host_clock import now


@dataclass(frozen=True, slots=True)
class Loss:
    """The lock is lost.

    :param is_certain: the registry said so; otherwise the lease is over, and others may have taken the lock.
    """

    why: str
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended, and what came before: a signal that asked it to end, or the loss of the lock.

    :param status: its exit code, or the negative number of the signal that ended it; None if unknown.
    :param left_something: whether it ended by itself while something that it started went on.
    """

    status: int | None
    signum: int | None = None
    loss: Loss | None = None
    left_something: bool = False

    @property
    def is_success(self) -> bool:
        """Whether it succeeded: exit code 0, without being told to end, as many programs then exit with 0 half-way."""
        return self.status == 0 and self.signum is None and self.loss is None

    @property
    def exit_code(self) -> int:
        """The exit code that a shell would report, except for a lost lock."""
        if self.loss is not None:
            return ExitCode.CONFLICT
        if self.status == 0 and self.signum is not None:
            return 128 + self.signum
        if self.status is None:
            return 128 + signal.SIGKILL
        return self.status if self.status >= 0 else 128 - self.status

    def in_words(self, program: str) -> str:
        """A sentence that says how it ended."""
        words = f"{program} ended {self._how}"
        if self.left_something:
            words += ", and what it left running was ended"
        if self.loss is not None:
            return f"{words} after its lease could not be renewed in time."
        return f"{words} after the run got {_name(self.signum)}." if self.signum else f"{words}."

    @property
    def _how(self) -> str:
        if self.status is None:
            return "in an unknown way, as the process that guarded it was killed"
        return f"with exit code {self.status}" if self.status >= 0 else f"with signal {_name(-self.status)}"


@dataclass(slots=True)
class Supervision:
    """Supervises a running command: tells its guardian what it must know, and ends the command if the lock is lost.

    :param lease_ends: on the clock of leases.
    :param margin: how many seconds before the end of the lease the guardian must have ended the command.
    :param tell_of_loss: called with the reason why the lock is lost.
    :param tell_of_rest: called with what the command left running.
    """

    command: Command
    inbox: Inbox
    lease_ends: float
    margin: float
    tell_of_loss: Callable[[str], None]
    tell_of_rest: Callable[[str], None]
    _signum: int | None = None
    _loss: Loss | None = None
    _left_something: bool = False

    def until_it_ends(self) -> Ending:
        """Supervise the command, and return how it ended.

        :raises OSError: it could not be started.
        """
        with self.inbox.receiving_signals((signal.SIGTSTP,)):
            while True:
                match self.inbox.next(self._late_at - now()):
                    case CommandEnded(status):
                        return self._ending(status)
                    case CommandUnfit(number):
                        raise OSError(number, _reason(number))
                    case GuardianGone():
                        self.command.kill()
                        return self._ending(None)
                    case None if now() >= self._late_at:
                        self._lose_lease()
                        self.command.kill()
                    case message:
                        self._act_on(message)

    def _act_on(self, message: Message | None) -> None:
        match message:
            case CommandLeft(what):
                self._left_something = True
                self.tell_of_rest(what)
            case LeaseRenewed(lease_ends):
                self.lease_ends = lease_ends
                self.command.renewed(lease_ends)
            case LeaseIsOver():
                self._lose_lease()
            case LockLost(why):
                self._lose(Loss(why, is_certain=True))
                self.command.pass_on(signal.SIGTERM)
                self.command.end()
            case SignalReceived(signal.SIGTSTP):
                self._stop()
            case SignalReceived(signum):
                self._pass_on(signum)

    @property
    def _late_at(self) -> float:
        """By when the guardian should have ended the command; after that, silence means that it has not."""
        return self.lease_ends - self.margin / 2

    def _ending(self, status: int | None) -> Ending:
        return Ending(status, self._signum, self._loss, self._left_something)

    def _pass_on(self, signum: int) -> None:
        self.command.pass_on(signum)
        if signum in ENDING_SIGNALS:
            self._signum = signum
            self.command.end()

    def _stop(self) -> None:
        """Stop the command and ourselves, and continue together."""
        self.command.pass_on(signal.SIGTSTP)
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # Sent to this thread, it returns when we are continued, or at once if nobody could continue us.
        signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self.command.pass_on(signal.SIGCONT)

    def _lose_lease(self) -> None:
        self._lose(
            Loss("Its lease is nearly over and cannot be renewed: others may take it.", is_certain=False)
        )

    def _lose(self, loss: Loss) -> None:
        if self._loss is None:
            self._loss = loss
            self.tell_of_loss(loss.why)


def _reason(number: int) -> str:
    return "its lease was nearly over by then" if number == errno.ETIME else os.strerror(number)


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return str(signum)
