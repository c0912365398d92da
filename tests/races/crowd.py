"""Many callers at once: threads in this process, or processes of their own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.store.factory import open_store

THREADS, PROCESSES = 20, 8
Step = tuple[str, dict[str, Any]]
"""A method of the store, and its arguments."""


def outcome(call: Callable[[], Any]) -> Any:
    """The result of the call, or the code of the registry's error. Other errors are raised."""
    try:
        return call()
    except RegistryError as error:
        return error.code


def together(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run all in threads that start at the same moment, and return their outcomes."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait(30)
        return outcome(work)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def play(url: str, steps: Sequence[Step]) -> list[Any]:
    """Call the methods in order on a store of this caller's own, and return their outcomes."""
    with open_store(url, timeout=30) as store:
        return [outcome(lambda step=step: getattr(store, step[0])(**step[1])) for step in steps]


def in_threads(url: str, steps: Sequence[Step], count: int = THREADS) -> list[list[Any]]:
    """Let all callers play the same steps; returns all callers' outcomes for each step."""
    played = together([lambda: play(url, steps)] * count)
    return [list(each) for each in zip(*played, strict=True)]


def in_processes(pool: ProcessPoolExecutor, url: str, steps: Sequence[Step]) -> list[list[Any]]:
    """As :func:`in_threads`, in the pool's processes."""
    played = [future.result(120) for future in [pool.submit(play, url, steps) for _ in range(PROCESSES)]]
    return [list(each) for each in zip(*played, strict=True)]


def codes(outcomes: Sequence[Any]) -> Counter[str]:
    """How many succeeded, and how many got which error."""
    return Counter(each if isinstance(each, str) else "won" for each in outcomes)
