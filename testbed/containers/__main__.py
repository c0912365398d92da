"""``python -m testbed.containers``: prepare, check, clean up. The exit code is 0 only if everything held."""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from testbed.containers import machine, tools
from testbed.containers.engine import SCRATCH
from testbed.processes import TestbedError

COULD_NOT_CHECK, INTERRUPTED = 2, 130


def main() -> int:
    """Run everything, and return the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        tools.ensure()
        with alone(), clean_before_and_after():
            return prepare_and_check()
    except TestbedError as error:
        print(error, file=sys.stderr)
        return COULD_NOT_CHECK
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


@contextmanager
def alone() -> Iterator[None]:
    """Reserve the folder for this run.

    :raises TestbedError: another run uses it.
    """
    SCRATCH.mkdir(exist_ok=True)
    with (SCRATCH / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TestbedError("Another make containers is at work in this folder.") from None
        yield


@contextmanager
def clean_before_and_after() -> Iterator[None]:
    """Remove what an earlier run left when it was killed, and in the end what this one leaves, even if interrupted."""
    beginning = time.monotonic()
    machine.run_module("testbed.containers.cleaning", has_network=False)
    try:
        yield
    finally:
        machine.run_module("testbed.containers.cleaning", has_network=False)
        print(f"Nothing runs any more after {time.monotonic() - beginning:.0f} s. Logs: .containers/logs")


def prepare_and_check() -> int:
    """Make the images and bring them up; returns the exit code."""
    print("Making stand-ins for the official images, and the images of the project.", flush=True)
    if machine.run_module("testbed.containers.preparing", has_network=True) != 0:
        return COULD_NOT_CHECK
    return machine.run_module("testbed.containers.checking", *sys.argv[1:], has_network=False)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
