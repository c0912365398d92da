"""The ``partition-registry`` command.

Each command has a module of its name in ``commands``; ``root`` puts them together. None of them imports SQLAlchemy,
and none ever Airflow: a command opens its store when it needs one, so help and mistyped calls answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command and end the process with one of the documented exit codes."""
    _open_standard_descriptors()
    _heed_signals()
    _end_when_told_to()
    try:
        from airflow_provider_partition_registry.cli.root import root

        root.main(prog_name="partition-registry")
    except KeyboardInterrupt:  # while modules are loaded
        sys.exit(128 + signal.SIGINT)


def _open_standard_descriptors() -> None:
    """Else the next file or connection would get the number of one that is closed, and what is written to that."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
            os.set_inheritable(descriptor, True)


def _heed_signals() -> None:
    """Callers may have blocked signals. Without SIGCHLD nobody would learn how a child ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _end_when_told_to() -> None:
    """The first process of a container is spared by signals that it does not handle, and would be waited for."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # and not ignored, as in the background
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    """Tidy up; but whoever interrupts that as well wants to wait for nothing, and to read no traceback of it."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    raise KeyboardInterrupt
