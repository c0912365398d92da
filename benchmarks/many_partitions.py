"""What a backfill pays: many partitions registered, locked and published in one call each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

from airflow_provider_partition_registry.domain.many_requests import MOST_PARTITIONS
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from benchmarks import floors
from benchmarks.data import HOUR, PROVIDER, Series
from benchmarks.report import Figure

FILLED = Series("backfilled", 1_000, HOUR)
REPEATS = 5


def figures(store: SqlRegistryStore) -> Iterator[Figure]:
    """All figures about many partitions, in a registry with the series."""
    keys: list[PartitionKey] = []
    calls = {
        "rows": floors.insert_rows(store, MOST_PARTITIONS),
        "partitions": floors.insert_partitions(store, FILLED, MOST_PARTITIONS),
        "register": lambda: store.register_many(keys),
        "lock": lambda: store.lock_many(keys),
        "unlock": lambda: store.unlock_many(keys),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(1, REPEATS + 1):
        hours = range(repeat * MOST_PARTITIONS, (repeat + 1) * MOST_PARTITIONS)
        keys[:] = [PartitionKey(FILLED.source_name, PROVIDER, FILLED.interval(each)) for each in hours]
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - begin)
    times = {name: median(each) * 1000 for name, each in seconds.items()}
    what = f"{MOST_PARTITIONS:,} partitions in one call:"
    floor = (times["partitions"], "INSERT of the same rows")
    yield Figure(f"{what} register_many", times["register"], REPEATS, *floor, 4)
    yield Figure(f"{what} lock_many", times["lock"], REPEATS, *floor)
    yield Figure(f"{what} unlock_many", times["unlock"], REPEATS, *floor)
    yield Figure(
        f"{what} register_many", times["register"], REPEATS, times["rows"], "INSERT of as many rows of a text"
    )
