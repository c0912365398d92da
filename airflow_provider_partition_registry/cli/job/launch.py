"""Starting a program as a shell does, in the environment of our caller."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import NoReturn

from airflow_provider_partition_registry.cli.job.prctl import die_with_parent

SHELL = "/bin/sh"
_COERCED = b"LC_CTYPE"
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def launch(program: str, arguments: list[str], *, stderr: int, group: int) -> int:
    """Start a program in a child process, which is killed when this process is gone.

    Signals that this process handles get their default action in the program; those that it ignores stay ignored.

    :param program: the path of its file; a file that does not name its interpreter is run by the shell.
    :param arguments: the first is the name it is called by (``argv[0]``).
    :param stderr: becomes its standard error.
    :param group: the process group that it joins; 0 for a group of its own.
    :return: the child's process id.
    :raises OSError: it cannot be started.
    """
    parent = os.getpid()
    failure, report = os.pipe()  # closed by a successful start
    # Signals that arrive before the program has begun are kept for it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = os.fork()
        if child == 0:
            _become(program, arguments, stderr, group, parent, report)
        os.close(report)
        if number := os.read(failure, 16):
            os.waitpid(child, 0)
            raise OSError(int(number), os.strerror(int(number)))
        return child
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(failure)


def given_environment() -> dict[bytes, bytes]:
    """The environment that the caller gave us. In the C locale Python changes it, for its children too."""
    environment = dict(os.environb)
    with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
        given = dict(each.split(b"=", 1) for each in file.read().split(b"\0") if b"=" in each)
        environment.pop(_COERCED, None)
        if _COERCED in given:
            environment[_COERCED] = given[_COERCED]
    return environment


def _become(
    program: str, arguments: list[str], stderr: int, group: int, parent: int, report: int
) -> NoReturn:
    try:
        os.setpgid(0, group)
        os.dup2(stderr, 2)
        for signum in signal.valid_signals():
            if callable(signal.getsignal(signum)) or signum in _IGNORED_BY_PYTHON:
                signal.signal(signum, signal.SIG_DFL)
        die_with_parent(signal.SIGKILL)
        if os.getppid() == parent:  # otherwise the parent has ended already
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            _execute(program, arguments)
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(127)


def _execute(program: str, arguments: list[str]) -> NoReturn:
    environment = given_environment()
    try:
        os.execve(program, arguments, environment)  # noqa: S606 - no shell was asked for
    except OSError as error:
        if error.errno != errno.ENOEXEC or _is_binary(program):
            raise
    os.execve(SHELL, [SHELL, program, *arguments[1:]], environment)  # noqa: S606 - the shell is named


def _is_binary(program: str) -> bool:
    """Whether it is a program for another machine rather than a script, by the same test as bash."""
    with open(program, "rb") as file:
        return b"\0" in file.read(80).partition(b"\n")[0]
