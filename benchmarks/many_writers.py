"""What many writers get done at the same time, in processes of their own, against bare inserts of as many."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import mean, median, quantiles

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks import floors
from benchmarks.at_once import Measured, Work, measure
from benchmarks.measuring import Call
from benchmarks.report import Figure
from testbed.freezing import freezing

SHARED_SOURCE = "of-all-writers"
AT_ONCE = (1, 2, 4)
MOST = 8
ROUNDS = 3  # for figures with a target, as a disk is not equally fast in every minute
LENGTH = timedelta(milliseconds=1)
USED_BEFORE = 20


def prepare(store: SqlRegistryStore) -> None:
    """Register a source for each writer, and one that all share, and let them have been in use for a while."""
    for name in (*map(_own_source, range(MOST + 1)), SHARED_SOURCE):
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
        inserts, apart = _in_turns(url, number, 1, _insert, _on_own_sources)
        yield _one_every(f"{what.format(number)}, sources of their own", apart, inserts)
    what = what.format(MOST)
    inserts, apart, together = _in_turns(url, MOST, ROUNDS, _insert, _on_own_sources, _on_one_source)
    yield _one_every(f"{what}, sources of their own", apart, inserts, 100 / 12)
    yield _slowest(f"the slowest 1 % of the calls of {MOST} processes", apart)
    yield _one_every(f"{what}, one source", together, inserts, 100 / 5)
    beside, alone = [], []
    for _ in range(ROUNDS):
        alone += measure(url, 1, _on_own_sources).durations
        with freezing(url, _own_source(MOST)):
            beside += measure(url, 1, _on_own_sources).durations
    yield Figure(
        "register + lock + unlock beside a frozen writer of another source",
        median(beside),
        len(beside),
        median(alone),
        "without it",
        1.1,
    )


def _in_turns(url: str, processes: int, rounds: int, *works: Work) -> list[Measured]:
    """Measure each kind of work as often, in turns."""
    found = [[measure(url, processes, work) for work in works] for _ in range(rounds)]
    return [
        Measured(mean(each.every for each in of_work), [one for each in of_work for one in each.durations])
        for of_work in zip(*found, strict=True)
    ]


def _one_every(what: str, measured: Measured, floor: Measured, at_most: float | None = None) -> Figure:
    return Figure(what, measured.every, len(measured.durations), floor.every, "INS of as many", at_most)


def _slowest(what: str, measured: Measured) -> Figure:
    slowest = quantiles(measured.durations, n=100)[-1]
    return Figure(what, slowest, len(measured.durations), median(measured.durations), "median", 10)


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
