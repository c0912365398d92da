"""The clock of leases, the same for all processes of a host."""

from __future__ import annotations

import time

# Nobody sets it, and it goes on while the host sleeps, as leases do. Not every system has one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since some moment in the past."""
    return time.clock_gettime(_CLOCK)
