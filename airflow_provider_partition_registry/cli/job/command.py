"""The command that is run: a child process with all that belongs to it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

from airflow_provider_partition_registry.cli.job import guardian
from airflow_provider_partition_registry.cli.job.events import PASSED_ON, CommandEnded, Events

KEPT_OF_STDERR = 16_384  # bytes
LAST_WORDS_TIMEOUT = 1.0  # seconds that standard error may stay open when the command is over
READ_AT_ONCE = 65_536


class Command:
    """A command that runs, in a process group of its own, so that signals reach also what it started.

    On a terminal it stays in ours: only that may read from the terminal, which then sends its signals to both of us.

    :param arguments: the program and its arguments.
    :param environment: all of it.
    :param grace: seconds that it gets to end if this process is killed.
    :param events: is told when it ends.
    :raises OSError: it cannot be started.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], *, grace: float, events: Events
    ) -> None:
        self._events = events
        # On a terminal there is a person, who sees what goes on.
        self._guardian = None if _has_terminal() else _Guardian(grace)
        self._stderr = b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - to run it is what we were called for
                arguments,
                env=environment,
                stderr=subprocess.PIPE,
                bufsize=0,
                process_group=self._guardian.group if self._guardian else None,
            )
        except BaseException:
            self.close()
            raise
        # Daemons: what the command left running may hold its standard error open for ever.
        self._listener = threading.Thread(target=self._pass_stderr_on, daemon=True)
        self._listener.start()
        threading.Thread(target=self._wait, daemon=True).start()

    def pass_on(self, signum: int) -> None:
        """Send it a signal that we got, unless the terminal has done so."""
        if self._guardian or signum not in (signal.SIGINT, signal.SIGQUIT):
            self.send(signum)

    def send(self, signum: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(-self._guardian.group if self._guardian else self._process.pid, signum)

    def last_lines(self, count: int) -> list[str]:
        """The last lines that it wrote to standard error."""
        lines = self._stderr.decode(errors="replace").replace("\x00", "").splitlines()
        return [line.rstrip() for line in lines if line.strip()][-count:] if count else []

    def close(self) -> None:
        """It has ended: guard it no more."""
        if self._guardian:
            self._guardian.dismiss()

    def _wait(self) -> None:
        status = self._process.wait()
        self._listener.join(LAST_WORDS_TIMEOUT)
        self._events.put(CommandEnded(status))

    def _pass_stderr_on(self) -> None:
        """Live, to our own; where nobody reads that any more, go on reading: the command must not be held up."""
        assert self._process.stderr is not None
        is_read = True
        while chunk := os.read(self._process.stderr.fileno(), READ_AT_ONCE):
            self._stderr = (self._stderr + chunk)[-KEPT_OF_STDERR:]
            is_read = is_read and _write_all(chunk)


class _Guardian:
    """Ends the command if this process is killed; until then it keeps the process group alive."""

    def __init__(self, grace: float) -> None:
        # What is blocked now stays blocked there: signals to the group are not for the guardian.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a program of ours
                [sys.executable, "-I", "-S", guardian.__file__, str(grace)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
                cwd="/",
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.group = self._process.pid

    def dismiss(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(f"{guardian.WELL}\n".encode())


def _has_terminal() -> bool:
    """Whether we are what a terminal is busy with, and not one of its jobs in the background."""
    return sys.stdin is not None and sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()


def _write_all(chunk: bytes) -> bool:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[os.write(2, rest) :]
    except OSError:
        return False
    return True
