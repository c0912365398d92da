"""The ``partition-registry`` command.

Each command has a module of its name in ``commands``; ``root`` puts them together. None of them imports SQLAlchemy,
and none imports Airflow. A command opens its store when it needs one, so help and mistyped calls respond at once.
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
    except KeyboardInterrupt:  # while modules are being imported
        sys.exit(128 + signal.SIGINT)


def _open_standard_descriptors() -> None:
    """Open closed ones, as the next file would otherwise get their number, and with it the output meant for them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(descriptor, True)


def _heed_signals() -> None:
    """Unblock signals, which the caller may have blocked. Without SIGCHLD we could not notice the end of a child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _end_when_told_to() -> None:
    """Handle SIGTERM in a container's first process, which otherwise ignores signals and would be killed in the end."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
    if (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ):  # not if it is ignored, as in the background
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    """Tidy up; a second interrupt ends the process at once, and without a traceback."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
    raise KeyboardInterrupt
