"""Messages about what happens while a command runs. The main thread alone takes them from a queue and decides."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals whose sender wants the command to end."""
LONGEST_WAIT = 3600.0  # seconds: Python cannot wait as long as a lease may last
PASSED_ON = (*ENDING_SIGNALS, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True, slots=True)
class SignalReceived:
    """Somebody sent this process a signal."""

    signum: int


@dataclass(frozen=True, slots=True)
class CommandUnfit:
    """The command could not be started.

    :param errno: why.
    """

    errno: int


@dataclass(frozen=True, slots=True)
class CommandLeft:
    """The command has ended with 0, and processes that it started are still running.

    :param what: the processes, in words.
    """

    what: str


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The command has ended, with all that it started.

    :param status: its exit code, or the negative number of the signal that ended it; None if unknown.
    """

    status: int | None


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The lease was renewed.

    :param lease_ends: on the clock of leases.
    """

    lease_ends: float


@dataclass(frozen=True, slots=True)
class LeaseIsOver:
    """The lease was not renewed in time, so the guardian ends the command."""


@dataclass(frozen=True, slots=True)
class GuardianGone:
    """The guardian was killed before the command had ended."""


@dataclass(frozen=True, slots=True)
class LockLost:
    """The lock is somebody else's, or does not exist any more."""

    why: str


@dataclass(frozen=True, slots=True)
class NewsHeard:
    """Something happened in the source, so a run that waits for a lock in it may ask again. Others ignore it."""


@dataclass(frozen=True, slots=True)
class CallReturned:
    """A call in the background has returned."""


Message = (
    SignalReceived
    | CommandUnfit
    | CommandLeft
    | CommandEnded
    | LeaseRenewed
    | LeaseIsOver
    | GuardianGone
    | LockLost
    | NewsHeard
    | CallReturned
)


class Inbox:
    """A queue that signal handlers and threads may fill at any moment. A Condition would not be safe in handlers."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Message] = SimpleQueue()

    def put(self, message: Message) -> None:
        """Add a message."""
        self._queue.put(message)

    def next(self, seconds: float) -> Message | None:
        """The next message, or None if none arrives in time, or within an hour."""
        try:
            return self._queue.get(timeout=min(max(0.0, seconds), LONGEST_WAIT))
        except Empty:
            return None

    def ending_signal(self, seconds: float) -> int | None:
        """Wait before a command runs. Returns the signal that asks us to end, if one arrives in time.

        Any other message ends the wait early, as there may be a reason to try again.
        """
        message = self.next(seconds)
        return (
            message.signum
            if isinstance(message, SignalReceived) and message.signum in ENDING_SIGNALS
            else None
        )

    @contextmanager
    def receiving_signals(self, signums: Sequence[int] = PASSED_ON) -> Iterator[None]:
        """Receive the signals that are to be passed on, except those that the caller ignores, as ``nohup`` does."""
        before = {each: signal.getsignal(each) for each in signums}
        taken = [each for each, handler in before.items() if handler is not signal.SIG_IGN]
        for each in taken:
            signal.signal(each, self._receive)
        try:
            yield
        finally:
            for each in taken:
                signal.signal(each, before[each] or signal.SIG_DFL)

    def _receive(self, signum: int, _frame: FrameType | None) -> None:
        self.put(SignalReceived(signum))
