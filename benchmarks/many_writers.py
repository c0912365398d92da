"""What many writers get done at the same time, in processes of their own, against bare inserts of as many."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing.synchronize import Event
from statistics import median, quantiles
from threading import Barrier
from typing import NamedTuple

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.store.sql.changes.claim import lock_source
from airflow_provider_partition_registry.store.sql.changes.history import Line, finish_with_events
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from benchmarks import floors
from benchmarks.measuring import Call
from benchmarks.report import Figure

SHARED_SOURCE = "of-all-writers"
AT_ONCE = (1, 2, 4, 8)
MOST = AT_ONCE[-1]
SECONDS = 8.0
LENGTH = timedelta(milliseconds=1)
WARM_UP_SECONDS = 1.0
USED_BEFORE = 20
START_WITHIN = 60.0  # seconds; if a process fails, the others do not wait for it for ever

Work = Callable[[SqlRegistryStore, int], Call]
"""Makes what a process calls again and again, from its store and its number."""


class Measured(NamedTuple):
    """Calls of all processes together.

    :param every: how much time passed for each call of any process (milliseconds).
    :param durations: of each call (milliseconds).
    """

    every: float
    durations: list[float]


def prepare(store: SqlRegistryStore) -> None:
    """Register a source for each writer, and one that all share, and let them have been in use for a while."""
    for name in (*map(_own_source, range(MOST)), SHARED_SOURCE):
        token = store.register_source(name, "benchmarks").access_token
        for number in range(MOST):
            store.register_provider(_provider(number), token)
            call = _register_lock_and_unlock(store, name, number)
            for _ in range(USED_BEFORE):
                call()
    floors.insert_and_commit(store)
    with store.database.engine.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")  # as PostgreSQL does by itself within a minute


def figures(url: str) -> Iterator[Figure]:
    """All figures about many writers, in a registry that is prepared."""
    what = "register + lock + unlock: one every, by {} processes"
    for number in AT_ONCE:
        inserts = _measure(url, number, _insert)
        apart = _measure(url, number, _on_own_sources)
        is_limited = number == MOST
        yield _one_every(
            f"{what.format(number)}, sources of their own", apart, inserts, 100 / 12 if is_limited else None
        )
        if is_limited:
            yield _slowest(f"the slowest 1 % of the calls of {number} processes", apart)
            together = _measure(url, number, _on_one_source)
            yield _one_every(f"{what.format(number)}, one source", together, inserts, 100 / 5)
    with _frozen_writer(url):
        beside = _measure(url, 1, _on_own_sources)
    alone = _measure(url, 1, _on_own_sources)
    yield Figure(
        "register + lock + unlock beside a frozen writer of another source",
        median(beside.durations),
        len(beside.durations),
        median(alone.durations),
        "without it",
        1.1,
    )


def _one_every(what: str, measured: Measured, floor: Measured, at_most: float | None) -> Figure:
    return Figure(what, measured.every, len(measured.durations), floor.every, "INS of as many", at_most)


def _slowest(what: str, measured: Measured) -> Figure:
    slowest = quantiles(measured.durations, n=100)[-1]
    return Figure(what, slowest, len(measured.durations), median(measured.durations), "median", 10)


def _measure(url: str, processes: int, work: Work) -> Measured:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(processes, context) as pool:
        barrier = manager.Barrier(processes, timeout=START_WITHIN)
        parts = [pool.submit(_take_part, url, number, work, barrier) for number in range(processes)]
        durations = [duration for part in parts for duration in part.result()]
    return Measured(SECONDS * 1000 / len(durations), durations)


def _take_part(url: str, number: int, work: Work, barrier: Barrier) -> list[float]:
    with open_sql_store(url, pool_size=1, timeout=30) as store:
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


def _insert(store: SqlRegistryStore, number: int) -> Call:
    return floors.insert_and_commit(store)


def _on_own_sources(store: SqlRegistryStore, number: int) -> Call:
    return _register_lock_and_unlock(store, _own_source(number), number)


def _on_one_source(store: SqlRegistryStore, number: int) -> Call:
    return _register_lock_and_unlock(store, SHARED_SOURCE, number)


def _register_lock_and_unlock(store: SqlRegistryStore, source_name: str, number: int) -> Call:
    # A call takes longer than the interval that it writes, so a later measurement begins with intervals of its own.
    begin, numbers = datetime.now(UTC), count()

    def call() -> None:
        start = begin + next(numbers) * LENGTH
        key = PartitionKey(source_name, _provider(number), Interval(start, start + LENGTH))
        store.register_partition(key)
        store.lock(key)
        store.unlock(key)

    return call


def _own_source(number: int) -> str:
    return f"of-writer-{number}"


def _provider(number: int) -> str:
    return f"writer-{number}"


@contextmanager
def _frozen_writer(url: str) -> Iterator[None]:
    """A process that sleeps in the midst of a transaction that has written an event to a source of its own."""
    context = multiprocessing.get_context("spawn")
    written = context.Event()
    process = context.Process(target=_freeze, args=(url, written))
    process.start()
    written.wait()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _freeze(url: str, written: Event) -> None:
    with (
        open_sql_store(url, pool_size=1, timeout=300) as store,
        store.database.engine.connect() as connection,
    ):
        connection.exec_driver_sql("BEGIN")
        source_id = lock_source(connection, _own_source(MOST - 1))
        line = Line(EventType.TOKEN_ROTATED, datetime.now(UTC), source_id)
        finish_with_events(Message(connection), [line], _own_source(MOST - 1))
        written.set()
        time.sleep(300)
