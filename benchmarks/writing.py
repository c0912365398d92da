"""What writers pay: a lock and its unlock at the end of a long history, in its middle, beside a long partition.

And what that is made of: what the client works, what PostgreSQL works, and what both wait for, the disk above all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks import floors
from benchmarks.data import HOUR, OTHER_PROVIDER, PROVIDER, Series
from benchmarks.measuring import WARM_UP, Call, cpu_time, in_turns
from benchmarks.report import Figure

HISTORY = 100_000
YEAR = 365 * 24
PLAIN = Series("hours", HISTORY, HOUR)
BESIDE_A_YEAR = Series("hours-and-a-year", HISTORY, HOUR)


def figures(store: SqlRegistryStore, repeats: int) -> Iterator[Figure]:
    """All figures about writing, in a registry with the two series."""
    year = BESIDE_A_YEAR.interval(HISTORY - YEAR, YEAR)
    store.lock(PartitionKey(BESIDE_A_YEAR.source_name, OTHER_PROVIDER, year), register=True)
    store.unlock(PartitionKey(BESIDE_A_YEAR.source_name, OTHER_PROVIDER, year))
    rounds = repeats + WARM_UP
    insert = floors.insert_and_commit(store)

    def insert_twice() -> None:
        insert()
        insert()

    calls = {
        "two INS": insert_twice,
        "tail": _lock_and_unlock_the_next(store, PLAIN, rounds),
        "middle": lambda: lock_and_unlock(store, PLAIN, PLAIN.interval(HISTORY // 2)),
        "year": _lock_and_unlock_the_next(store, BESIDE_A_YEAR, rounds),
        "under the year": lambda: lock_and_unlock(
            store, BESIDE_A_YEAR, BESIDE_A_YEAR.interval(HISTORY - 100)
        ),
        "unknown": _lock_and_unlock_the_next(store, PLAIN, rounds, register=True),
    }
    times = {name: seconds * 1000 for name, seconds in in_turns(calls, repeats).items()}
    what = f"lock + unlock at the tail of {HISTORY:,} partitions"
    yield Figure(what, times["tail"], repeats, times["two INS"], "two INS", 2.2)
    yield Figure(f"{what}, registering it", times["unknown"], repeats, times["two INS"], "two INS")
    yield Figure("lock + unlock in their middle", times["middle"], repeats, times["tail"], "tail", 1.3)
    yield Figure(
        "lock + unlock beside one yearly partition", times["year"], repeats, times["tail"], "tail", 1.3
    )
    what = "lock + unlock under one yearly partition"
    yield Figure(what, times["under the year"], repeats, times["tail"], "tail", 1.3)
    middle, floor = (_cpu_times(store, calls[name], repeats) for name in ("middle", "two INS"))
    for who, mine, of_floor in zip(("the client", "PostgreSQL"), middle, floor, strict=True):
        yield Figure(f"lock + unlock: CPU time of {who}", mine, repeats, of_floor, "two INS")


def _cpu_times(store: SqlRegistryStore, call: Call, repeats: int) -> list[float]:
    """What this process and the one that serves it work for a call (milliseconds)."""
    query = "SELECT pg_backend_pid()"
    backend = store.database.read(lambda connection: int(connection.exec_driver_sql(query).scalar_one()))
    processes = (os.getpid(), backend)
    began_with = [cpu_time(each) for each in processes]
    for _ in range(repeats):
        call()
    return [
        (cpu_time(each) - before) / repeats * 1000 for each, before in zip(processes, began_with, strict=True)
    ]


def _lock_and_unlock_the_next(
    store: SqlRegistryStore, series: Series, rounds: int, *, register: bool = False
) -> Call:
    """Each call takes the next partition at the end of the series, registered before unless ``register``."""
    # Partitions that calls register come after those that are registered now, and are the last of all.
    first = series.count + (rounds if register else 0)
    if not register:
        for number in range(first, first + rounds):
            store.register_partition(PartitionKey(series.source_name, PROVIDER, series.interval(number)))
    numbers = count(first)
    return lambda: lock_and_unlock(store, series, series.interval(next(numbers)), register=register)


def lock_and_unlock(
    store: SqlRegistryStore, series: Series, interval: Interval, *, register: bool = False
) -> None:
    """Write one partition of the series."""
    locked = store.lock(PartitionKey(series.source_name, PROVIDER, interval), register=register)
    store.unlock(PartitionKey(series.source_name, PROVIDER, interval), generation=locked.generation)
