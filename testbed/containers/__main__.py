"""``python -m testbed.containers``: prepare, check, clean up. The exit code is 0 only if everything held."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from testbed.containers import machine, tools
from testbed.processes import TestbedError

COULD_NOT_CHECK, INTERRUPTED = 2, 130


def main() -> int:
    """Do it; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    beginning = time.monotonic()
    try:
        tools.ensure()
        print("Stand-ins for the official images, and the images of the project, are being made.", flush=True)
        if machine.run_module("testbed.containers.preparing", has_network=True) != 0:
            return COULD_NOT_CHECK
        print(f"Made after {time.monotonic() - beginning:.0f} s.", flush=True)
        return machine.run_module("testbed.containers.checking", *sys.argv[1:], has_network=False)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return COULD_NOT_CHECK
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    finally:
        print(
            f"Nothing runs any more after {time.monotonic() - beginning:.0f} s. Logs: .containers/logs",
            flush=True,
        )


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
