"""The process that starts a run's command, and ends it in time whatever happens to the run.

If a run is killed or stopped, its command would go on writing what others may lock once the lease is over. So the lease
is watched by this process, not by the run. It ends the command with all its descendants if it hears of no renewal in
time, and at once if the run is gone. Orphans of the command become its own children, so that it also knows when nothing
is left.

Messages to and from the run are lines of a word and, in most cases, a number or a text.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
from math import inf
from typing import NamedTuple

from airflow_provider_partition_registry.cli.job.family import descendants, signal_descendants
from airflow_provider_partition_registry.cli.job.launch import launch
from airflow_provider_partition_registry.cli.job.prctl import adopt_orphans
from airflow_provider_partition_registry.store.host_clock import now

# Messages from the run:
LEASE_ENDS, SIGNAL, END = "lease_ends", "signal", "end"
# Messages to the run:
UNFIT, LEFT, LEASE_IS_OVER, OVER = "unfit", "left", "lease_is_over", "over"

TICK = 1.0  # seconds: while the host sleeps, the time of a poll stands still, but that of the lease goes on
SETTLING = 1.0  # seconds in which processes that the command itself told to end may do so
FIRST_PAUSE = 0.05  # seconds between killing, and killing processes that were started meanwhile
LONGEST_PAUSE = 5.0
NAMED = 5  # of the remaining processes

_FAULTS = (
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
)
_NOT_HANDLED = {signal.SIGKILL, signal.SIGSTOP, *_FAULTS}


class Terms(NamedTuple):
    """How to guard a command.

    :param control: the socket to the run.
    :param stderr: becomes the command's standard error.
    :param lease_ends: seconds on the clock of leases.
    :param notice: how many seconds before it is killed because of the lease the command is told to end.
    :param margin: how many seconds before the end of the lease it is killed.
    :param grace: how many seconds it gets if it is told to end for another reason.
    :param group: the caller's process group, which it is to join; 0 for a group of its own.
    """

    control: int
    stderr: int
    lease_ends: float
    notice: float
    margin: float
    grace: float
    group: int

    def to_arguments(self) -> list[str]:
        """As arguments of a command line."""
        return [str(float(each)) for each in self]

    @classmethod
    def from_arguments(cls, words: list[str]) -> Terms:
        """Read the arguments of a command line."""
        control, stderr, lease_ends, notice, margin, grace, group = map(float, words)
        return cls(int(control), int(stderr), lease_ends, notice, margin, grace, int(group))


class Guardian:
    """Guards one command."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._lease_ends = terms.lease_ends
        self._can_adopt = adopt_orphans()
        self._others = {os.getpgrp(), terms.group}
        self._status: int | None = None
        self._has_children = True
        self._is_lease_over = False
        self._tell_of_rest_at = self._grace_ends = self._kill_again_at = inf
        self._pause = FIRST_PAUSE
        self._unread = b""
        self._poll = select.poll()
        self._poll.register(terms.control, select.POLLIN)

    def guard(self, program: str, arguments: list[str]) -> None:
        """Start the command, and return when nothing of it is left.

        :param program: the path of its file.
        :param arguments: the first is the name it is called by (``argv[0]``).
        """
        self._woken = _handle_signals()
        self._poll.register(self._woken, select.POLLIN)
        stderr = self._terms.stderr
        try:
            if now() >= self._notice_at():  # the run was held up
                raise TimeoutError(errno.ETIME, os.strerror(errno.ETIME))
            self._command = launch(program, arguments, stderr=stderr, group=self._terms.group)
        except OSError as error:
            self._say(UNFIT, error.errno)
            return
        finally:
            os.close(stderr)
        self._reap()
        while self._is_anything_left():
            self._act()
            self._wait()
            self._reap()
        self._say(OVER, "" if self._status is None else self._status)

    def _is_anything_left(self) -> bool:
        if self._has_children or self._can_adopt or self._terms.group:
            return self._has_children
        try:
            os.killpg(self._command, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _reap(self) -> None:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._command:
                    self._note_end(os.waitstatus_to_exitcode(status))
        except ChildProcessError:
            self._has_children = False

    def _note_end(self, status: int) -> None:
        self._status = status
        if status != 0 or self._grace_ends < inf:
            self._tell_to_end()
        else:
            self._tell_of_rest_at = now() + SETTLING

    def _act(self) -> None:
        """Do what is due now."""
        moment = now()
        if moment >= self._notice_at():
            self._is_lease_over = True
            self._say(LEASE_IS_OVER)
            self._tell_to_end()
        if moment >= self._tell_of_rest_at:
            self._tell_of_rest()
        if moment >= self._kill_at():
            self._signal(signal.SIGKILL)
            self._kill_again_at = moment + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _wait(self) -> None:
        """Wait until something happens, or something is due."""
        wake_at = min(now() + TICK, self._notice_at(), self._tell_of_rest_at, self._kill_at())
        for descriptor, _ in self._poll.poll(max(0.0, wake_at - now()) * 1000):
            if descriptor == self._woken:
                os.read(self._woken, 4096)
            else:
                self._hear()

    def _notice_at(self) -> float:
        return inf if self._is_lease_over else self._lease_ends - self._terms.margin - self._terms.notice

    def _kill_at(self) -> float:
        if self._kill_again_at < inf:
            return self._kill_again_at
        return min(self._grace_ends, self._lease_ends - self._terms.margin)

    def _hear(self) -> None:
        try:
            heard = os.read(self._terms.control, 4096)
        except ConnectionError:
            heard = b""
        if not heard:  # the run is gone
            self._poll.unregister(self._terms.control)
            self._tell_to_end()
        *lines, self._unread = (self._unread + heard).split(b"\n")
        for line in lines:
            word, _, number = line.decode().partition(" ")
            if word == LEASE_ENDS:
                self._lease_ends = float(number)
            elif word == SIGNAL:
                self._signal(int(number))
            elif word == END:
                self._give_grace()

    def _say(self, word: str, argument: object = "") -> None:
        with contextlib.suppress(ConnectionError):
            os.write(self._terms.control, f"{word} {argument}\n".encode())

    def _tell_of_rest(self) -> None:
        self._tell_of_rest_at = inf
        rest = [f"{each.name} (process {each.pid})" for each in descendants() if not each.has_ended]
        more = [f"{len(rest) - NAMED} more"] if len(rest) > NAMED else []
        self._say(LEFT, ", ".join([*rest[:NAMED], *more]) or "something")

    def _tell_to_end(self) -> None:
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process receives no other signal
        self._give_grace()

    def _give_grace(self) -> None:
        self._grace_ends = min(self._grace_ends, now() + self._terms.grace)
        self._tell_of_rest_at = inf

    def _signal(self, signum: int) -> None:
        # Once the command has ended, its group may be another's, unless descendants are in it.
        is_group_its_own = not self._terms.group and (self._status is None or not self._can_adopt)
        signal_descendants(signum, group=self._command if is_group_its_own else None, others=self._others)


def _handle_signals() -> int:
    """Let no signal end this process: service managers signal every process, and the run decides.

    :return: a descriptor that becomes readable when a signal has arrived, such as that a child has ended.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for signum in signal.valid_signals() - _NOT_HANDLED:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # the command is to ignore it as well
            signal.signal(signum, lambda *_: None)
    return woken


def main() -> None:
    """Guard a command. The command line contains the terms, the path of its program, and its arguments."""
    split = 1 + len(Terms._fields)
    terms = Terms.from_arguments(sys.argv[1:split])
    program, *arguments = sys.argv[split:]
    for each in (terms.control, terms.stderr):
        os.set_inheritable(each, False)
    Guardian(terms).guard(program, arguments)
