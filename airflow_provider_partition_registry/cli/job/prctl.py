"""What Linux can do for a process with children, and Python has no call for."""

from __future__ import annotations

import ctypes
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> bool:
    """Become the parent of all that descends from this process and loses its own.

    :return: whether the system can do so.
    """
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> None:
    """Get a signal when the parent is gone, where the system can do so. Kept by the program that is executed next."""
    _prctl(_SET_DEATH_SIGNAL, signum)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    zero = ctypes.c_ulong(0)
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0)
