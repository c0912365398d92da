"""Calls by several processes at the same time."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

from airflow_provider_partition_registry.store.factory import open_store
from benchmarks.measuring import Call

SECONDS = 8.0
WARM_UP_SECONDS = 1.0
START_WITHIN = 60.0  # seconds; if a process fails, the others do not wait for it for ever

Work = Callable[[Any, int], Call]
"""Makes what a process calls again and again, from its store and its number."""


class Measured(NamedTuple):
    """Calls of all processes together.

    :param every: how much time passed for each call of any process (milliseconds).
    :param durations: of each call (milliseconds).
    """

    every: float
    durations: list[float]


def measure(url: str, processes: int, work: Work) -> Measured:
    """Let as many processes work, each with a store of its own, for :data:`SECONDS`."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(processes, context) as pool:
        barrier = manager.Barrier(processes, timeout=START_WITHIN)
        parts = [pool.submit(_take_part, url, number, work, barrier) for number in range(processes)]
        durations = [duration for part in parts for duration in part.result()]
    return Measured(SECONDS * 1000 / len(durations), durations)


def _take_part(url: str, number: int, work: Work, barrier: Barrier) -> list[float]:
    with open_store(url, pool_size=1, timeout=30) as store:
        call = work(store, number)
        durations = []
        call()
        barrier.wait()
        begin = time.perf_counter() + WARM_UP_SECONDS
        end = begin + SECONDS
        while (before := time.perf_counter()) < end:
            call()
            if before >= begin:
                durations.append((time.perf_counter() - before) * 1000)
    return durations
