"""Linux's prctl calls for a process with children, which Python does not offer."""

from __future__ import annotations

import ctypes
import sys

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> bool:
    """Become the parent of every descendant that loses its own (a subreaper).

    :return: whether the system supports this.
    """
    return _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> None:
    """Get a signal when the parent ends, if the system supports it. This survives executing another program."""
    _prctl(_SET_DEATH_SIGNAL, signum)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    zero = ctypes.c_ulong(0)
    return bool(ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0)
