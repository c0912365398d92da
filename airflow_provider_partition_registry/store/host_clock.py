"""A clock for how long ago something was, the same for all processes of a host."""

from __future__ import annotations

import time

# Nobody can set this clock, and it runs while the host sleeps, as leases do. Not every system has it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since some moment in the past."""
    return time.clock_gettime(_CLOCK)
