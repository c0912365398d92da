"""Timing: calls that are compared take turns, so that a busy machine slows them all alike. And CPU time."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

WARM_UP = 10  # rounds, during which caches fill, here and in the database

Call = Callable[[], object]


def in_turns(calls: Mapping[str, Call], repeats: int) -> dict[str, float]:
    """Call each in turn, ``repeats`` times after a warm-up; the median of each (seconds)."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    gc.collect()
    for number in range(-min(WARM_UP, repeats), repeats):
        shift = number % len(names)  # so that no call always comes after the same other call
        for name in names[shift:] + names[:shift]:
            begin = time.perf_counter()
            calls[name]()
            elapsed = time.perf_counter() - begin
            if number >= 0:
                times[name].append(elapsed)
    return {name: median(values) for name, values in times.items()}


def cpu_time(process: int) -> float:
    """How much CPU time a process has used (seconds)."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    user, system = after_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
