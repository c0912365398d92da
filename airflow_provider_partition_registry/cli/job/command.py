"""The command that is run, and the guardian process that started it, as seen from the run."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import airflow_provider_partition_registry
from airflow_provider_partition_registry.cli.job import guardian
from airflow_provider_partition_registry.cli.job.family import descendants, reap_children, signal_descendants
from airflow_provider_partition_registry.cli.job.inbox import (
    CommandEnded,
    CommandLeft,
    CommandUnfit,
    GuardianGone,
    Inbox,
    LeaseIsOver,
    Message,
)
from airflow_provider_partition_registry.cli.job.prctl import adopt_orphans
from airflow_provider_partition_registry.cli.output import write_all

KEPT_OF_STDERR = 16_384  # bytes
LAST_WORDS_TIMEOUT = 1.0  # seconds that standard error may stay open after the command has ended
READ_AT_ONCE = 65_536
PAUSE = 0.05  # seconds

# Isolated and without site-packages, it starts in milliseconds; UTF-8 mode passes any bytes of the arguments unchanged.
_PYTHON = (sys.executable, "-I", "-S", "-X", "utf8", "-c")
_START = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {guardian.__name__} import main; main()"
_HOME = str(Path(airflow_provider_partition_registry.__file__).parents[1])


class Command:
    """A running command with all its descendants.

    It gets a process group of its own. On a terminal it stays in the caller's group, as the shell there stops and
    continues whole groups, and decides which of them may read.

    :param program: the path of its file.
    :param arguments: the first is the name it is called by (``argv[0]``).
    :param environment: the whole environment.
    :param inbox: receives messages about the command.
    :raises OSError: its guardian cannot be started.
    """

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        environment: Mapping[bytes, bytes],
        *,
        lease_ends: float,
        notice: float,
        margin: float,
        grace: float,
        inbox: Inbox,
    ) -> None:
        adopt_orphans()
        self._inbox = inbox
        self._is_at_terminal = _has_terminal()
        self._stderr = b""
        self._control, theirs = socket.socketpair()
        self._read, write = os.pipe()
        group = os.getpgrp() if self._is_at_terminal else 0
        terms = guardian.Terms(theirs.fileno(), write, lease_ends, notice, margin, grace, group)
        try:
            self._guardian = _start_guardian(terms, program, arguments, environment)
            # The first process of a container inherits orphans, which it must reap.
            signal.signal(signal.SIGCHLD, lambda *_: reap_children(but=self._guardian))
            reap_children(but=self._guardian)
        except BaseException:
            self._control.close()
            os.close(self._read)
            raise
        finally:
            theirs.close()
            os.close(write)
        # A daemon thread: processes that the command left running may keep its standard error open for ever.
        self._listener = threading.Thread(target=self._pass_stderr_on, daemon=True)
        self._listener.start()
        threading.Thread(target=self._hear, daemon=True).start()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        os.waitpid(self._guardian, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()

    def pass_on(self, signum: int) -> None:
        """Send the command a signal that we received, unless the terminal has sent it already."""
        if not (self._is_at_terminal and signum in (signal.SIGINT, signal.SIGQUIT)):
            self._say(guardian.SIGNAL, signum)

    def end(self) -> None:
        """Have the command killed when its grace is over."""
        self._say(guardian.END)

    def renewed(self, lease_ends: float) -> None:
        """Tell the guardian that the lease lasts longer."""
        self._say(guardian.LEASE_ENDS, lease_ends)

    def kill(self) -> None:
        """Kill the command and its guardian, which is gone or does not act; return when nothing is left."""
        os.kill(self._guardian, signal.SIGKILL)
        others = {os.getpgrp()}
        while any(not each.has_ended for each in descendants()):
            signal_descendants(signal.SIGKILL, group=None, others=others)
            time.sleep(PAUSE)
            reap_children(but=self._guardian)

    def last_lines(self, count: int) -> list[str]:
        """The last lines that the command wrote to standard error."""
        lines = self._stderr.decode(errors="replace").replace("\x00", "").splitlines()
        return [line.rstrip() for line in lines if line.strip()][-count:] if count else []

    def _say(self, word: str, number: float | str = "") -> None:
        with contextlib.suppress(ConnectionError):
            self._control.sendall(f"{word} {number}\n".encode())
        os.kill(self._guardian, signal.SIGCONT)  # it may have been stopped

    def _hear(self) -> None:
        with contextlib.suppress(ConnectionError), self._control.makefile(errors="replace") as lines:
            for line in lines:
                self._inbox.put(self._message(*line.rstrip("\n").split(" ", 1)))
        self._inbox.put(GuardianGone())

    def _message(self, word: str, argument: str) -> Message:
        match word:
            case guardian.UNFIT:
                return CommandUnfit(int(argument))
            case guardian.LEFT:
                return CommandLeft(argument)
            case guardian.LEASE_IS_OVER:
                return LeaseIsOver()
            case _:
                self._listener.join(LAST_WORDS_TIMEOUT)
                return CommandEnded(int(argument) if argument else None)

    def _pass_stderr_on(self) -> None:
        """Copy to our own standard error at once. If nobody reads that, read on: the command must not be held up."""
        is_read = True
        with open(self._read, "rb", buffering=0) as stderr:
            while chunk := stderr.read(READ_AT_ONCE):
                self._stderr = (self._stderr + chunk)[-KEPT_OF_STDERR:]
                is_read = is_read and write_all(2, chunk)


def _start_guardian(
    terms: guardian.Terms, program: str, arguments: Sequence[str], environment: Mapping[bytes, bytes]
) -> int:
    # All other inheritable descriptors are the caller's, and meant for the command.
    for each in (terms.control, terms.stderr):
        os.set_inheritable(each, True)
    words = [*_PYTHON, _START, _HOME, *terms.to_arguments(), program, *arguments]
    return os.posix_spawn(sys.executable, words, environment, setpgroup=0)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
