"""What years cost: five-minute partitions of a hundred sources, each written again a day later, and pruned.

Half a year is a tenth of five years of them, which would take hours to generate; sizes of five years are computed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median, quantiles
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions, tables
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from benchmarks.data import PROVIDER
from benchmarks.measuring import Call, in_turns
from benchmarks.report import Figure

SOURCES = 100
STEP = timedelta(minutes=5)
A_DAY = timedelta(days=1) // STEP
FIVE_YEARS = 5 * 365
TABLES = (tables.partition, tables.event, tables.source, tables.ready_interval, tables.history)
WRITES = 1_000  # pairs of lock and unlock, of which the statistics of the tables are told
MEGABYTE = 1e6


@dataclass(frozen=True)
class Registry:
    """A registry in which so many days have passed until now."""

    store: SqlRegistryStore
    url: str
    days: int
    begins: datetime

    def interval(self, first: int, how_many: int = 1) -> Interval:
        """From the start of one partition to the end of another."""
        start = self.begins + first * STEP
        return Interval(start, start + how_many * STEP)

    @property
    def length(self) -> int:
        """How many partitions a source has."""
        return self.days * A_DAY


def figures(short_url: str, long_url: str, days: int, repeats: int) -> Iterator[Figure]:
    """All figures about a registry of so many days, compared with one of two days."""
    short, long = create(short_url, 2), create(long_url, days)
    yield from _sizes(long, f"after {days} days")
    yield from _growth(long)
    yield from _hot(short, long, repeats)
    yield from _updates(long)
    yield from _pruning(long)
    yield from _sizes(long, f"after {days} days, pruned of half of them")
    yield from _hot(short, long, repeats)


def create(url: str, days: int) -> Registry:
    """Fill an empty database with what as many calls would have left."""
    begins = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=days)
    with open_sql_store(url, pool_size=1, timeout=60, clock=lambda: begins) as first:
        revisions.upgrade(first.database)
        for number in range(SOURCES):
            token = first.register_source(_source(number), "benchmarks").access_token
            first.register_provider(PROVIDER, token)
    store = open_sql_store(url, pool_size=1, timeout=3_600)
    registry = Registry(store, url, days, begins)
    store.database.write(lambda connection: _fill(connection, registry))
    store.database.read(lambda connection: connection.execute(text("VACUUM ANALYZE")))
    store.database.read(lambda connection: connection.execute(text("CHECKPOINT")))
    return registry


def _source(number: int) -> str:
    return f"table-{number:03}"


def _fill(connection: Connection, registry: Registry) -> None:
    parameters = {
        "first": to_microseconds(registry.begins),
        "step": STEP // timedelta(microseconds=1),
        "count": registry.length,
        "day": A_DAY,
        "sources": SOURCES,
        "length_class": tables.length_class_of(registry.interval(0)),
        "longest": tables.longest_of(tables.length_class_of(registry.interval(0))),
    }
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in _STATEMENTS:
        connection.execute(text(statement), parameters)


_IDS = f"{tables.source} AS source, {tables.provider} AS provider"

# What each call wrote, how many partitions ago, and the generation: a partition is written again a day later.
_KINDS = f"""(VALUES
    (0, '{EventType.PARTITION_REGISTERED}', 0, NULL),
    (1, '{EventType.LOCK}', 0, 1), (2, '{EventType.UNLOCK}', 0, 1),
    (3, '{EventType.LOCK}', :day, 2), (4, '{EventType.UNLOCK}', :day, 2)
) AS kind (k, type, ago, generation)"""

_STATEMENTS = (
    f"""
    INSERT INTO {tables.length_class} (source_id, length_class, longest)
    SELECT id, :length_class, :longest FROM {tables.source}""",
    f"""
    INSERT INTO {tables.ready_interval} (source_id, interval_start, interval_end)
    SELECT id, :first, :first + CAST(:count AS BIGINT) * :step FROM {tables.source}""",
    f"""
    INSERT INTO {tables.partition} (source_id, provider_id, interval_start, interval_end, length_class, state,
                                    generation, registered_at, changed_at, published_at, exclusive, holder,
                                    holder_details, locked_at)
    SELECT source.id, provider.id, :first + n * :step, :first + (n + 1) * :step, :length_class, 'ready',
           CASE WHEN n + :day < :count THEN 2 ELSE 1 END, :first + n * :step, at, at, false, provider.name, '{{}}', at
    FROM generate_series(CAST(0 AS BIGINT), :count - 1) AS n, {_IDS},
         LATERAL (SELECT :first + (CASE WHEN n + :day < :count THEN n + :day ELSE n END) * :step) AS times (at)
    ORDER BY n, source.id""",
    f"""
    INSERT INTO {tables.event} (position, type, at, source_id, provider_id, interval_start, interval_end, holder,
                                generation, details)
    SELECT 1000 + (n * :sources + source.id) * 5 + k, kind.type, :first + n * :step, source.id, provider.id,
           :first + (n - ago) * :step, :first + (n - ago + 1) * :step,
           CASE WHEN k > 0 THEN provider.name END, generation, '{{}}'
    FROM generate_series(CAST(0 AS BIGINT), :count - 1) AS n, {_IDS}, {_KINDS}
    WHERE n >= ago
    ORDER BY n, source.id, k""",
    f"SELECT setval('{tables.event_position.name}', (SELECT max(position) FROM {tables.event}))",
    f"""
    UPDATE {tables.source} AS source
    SET event_count = (SELECT count(*) FROM {tables.event} AS event WHERE event.source_id = source.id)""",
)


def _sizes(registry: Registry, when: str) -> Iterator[Figure]:
    registry.store.database.read(lambda connection: connection.execute(text("VACUUM ANALYZE")))
    for each in (tables.partition, tables.event):
        rows, heap, indexes = _size(registry, each)
        yield Figure(f"{each.name} {when}: {rows:,} rows, heap", heap / MEGABYTE, 1, unit="MB")
        yield Figure(f"{each.name} {when}: indexes", indexes / MEGABYTE, 1, unit="MB")


def _growth(registry: Registry) -> Iterator[Figure]:
    sizes = [_size(registry, each) for each in (tables.partition, tables.event)]
    a_day = sum(heap + indexes for _, heap, indexes in sizes) / registry.days / MEGABYTE
    yield Figure("growth a day", a_day, 1, unit="MB")
    yield Figure("five years at that rate, computed", a_day * FIVE_YEARS, 1, unit="MB")


def _size(registry: Registry, table: Table) -> tuple[int, int, int]:
    statement = text(f"SELECT count(*), pg_table_size('{table}'), pg_indexes_size('{table}') FROM {table}")
    rows, heap, indexes = registry.store.database.read(lambda connection: connection.execute(statement).one())
    return int(rows), int(heap), int(indexes)


def _hot(short: Registry, long: Registry, repeats: int) -> Iterator[Figure]:
    """What is asked and done all the time, at the end of the long history and at that of the short one."""
    calls = {
        (name, which): call
        for which, registry in (("short", short), ("long", long))
        for name, call in _hot_calls(registry).items()
    }
    times = in_turns({" ".join(key): call for key, call in calls.items()}, repeats)
    for name in _hot_calls(short):
        yield Figure(
            f"{name}, {long.days} days",
            times[f"{name} long"] * 1000,
            repeats,
            times[f"{name} short"] * 1000,
            f"{short.days} days",
            1.3,
        )


def _hot_calls(registry: Registry) -> dict[str, Call]:
    store, name = registry.store, _source(7)
    day = registry.interval(registry.length - A_DAY, A_DAY)
    beyond = registry.interval(registry.length - A_DAY, A_DAY + 2)
    last = store.last_position()
    numbers = count(_next_of(registry, 8))

    def register() -> None:
        lock_and_unlock(store, _source(8), registry.interval(next(numbers)), register=True)

    return {
        "ready": lambda: store.check_readiness_many([Question(name, day)], explain=False),
        "not ready, and why": lambda: store.check_readiness(name, beyond),
        "changed_since": lambda: store.changed_since(name, day, last),
        "1,000 events": lambda: store.events(last - 2_000),
        "latest_events": lambda: store.latest_events(name),
        "lock + unlock again": lambda: lock_and_unlock(
            store, _source(9), registry.interval(registry.length - 1)
        ),
        "lock + unlock, registering it": register,
    }


def _next_of(registry: Registry, number: int) -> int:
    """The number of the first partition that does not exist yet."""
    overview = registry.store.get_overview(_source(number))
    assert overview.extent is not None
    return (overview.extent.end - registry.begins) // STEP


def lock_and_unlock(
    store: SqlRegistryStore, source_name: str, interval: Interval, *, register: bool = False
) -> None:
    """Write a partition."""
    key = PartitionKey(source_name, PROVIDER, interval)
    store.unlock(key, generation=store.lock(key, register=register).generation)


def _updates(registry: Registry) -> Iterator[Figure]:
    """How many rows of which tables are updated by writes, and of these how many without touching an index (HOT)."""
    before = _statistics(registry)
    for number in range(WRITES):
        lock_and_unlock(
            registry.store, _source(number % SOURCES), registry.interval(number % registry.length)
        )
    after = _statistics(registry)
    for table in TABLES:
        updated, hot, dead = (after[table.name][n] - before[table.name][n] for n in range(3))
        what = f"{table.name}: updates per lock + unlock"
        yield Figure(what, updated / WRITES, WRITES, unit="rows")
        yield Figure(f"{what} that are HOT", hot / WRITES, WRITES, unit="rows")
        yield Figure(f"{table.name}: dead rows left per lock + unlock", dead / WRITES, WRITES, unit="rows")


def _statistics(registry: Registry) -> dict[str, tuple[int, int, int]]:
    def read(connection: Connection) -> dict[str, tuple[int, int, int]]:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        statement = "SELECT relname, n_tup_upd, n_tup_hot_upd, n_dead_tup FROM pg_stat_user_tables"
        return {row[0]: tuple(row[1:]) for row in connection.execute(text(statement)).all()}

    return registry.store.database.read(read)


def _pruning(registry: Registry) -> Iterator[Figure]:
    """How long it takes, and what a writer feels of it who writes to one source after another."""
    before = registry.begins + timedelta(days=registry.days // 2)
    quiet = _felt(registry, lambda: time.sleep(10))
    events, _, _ = _size(registry, tables.event)
    begun = time.perf_counter()
    busy = _felt(registry, lambda: _prune(registry, before))
    seconds = time.perf_counter() - begun
    removed = events + 2 * len(busy) - _size(registry, tables.event)[0]
    yield Figure(f"prune of {removed:,} of {events:,} events", seconds, 1, unit="s")
    yield Figure("a thousand events removed", seconds / removed * 1e6, 1)
    begun = time.perf_counter()
    _prune(registry, before)
    yield Figure("prune again, nothing to remove", time.perf_counter() - begun, 1, unit="s")
    for name, of in (
        ("median", median),
        ("99th percentile", lambda all_: quantiles(all_, n=100)[98]),
        ("longest", max),
    ):
        floor = of(quiet) * 1000
        yield Figure(
            f"lock + unlock while it is pruned, {name}", of(busy) * 1000, len(busy), floor, "otherwise"
        )
    dead = _statistics(registry)[tables.event.name][2]
    yield Figure("dead rows of the history after it", dead, 1, unit="rows")
    if found := verify(registry.store.database):
        raise AssertionError("\n".join(each.description for each in found))


def _prune(registry: Registry, before: datetime) -> None:
    command = [sys.executable, "-m", "airflow_provider_partition_registry.cli", "--url", registry.url]
    subprocess.run([*command, "db", "prune", "--before", before.isoformat()], check=True, stdout=sys.stderr)


def _felt(registry: Registry, meanwhile: Callable[[], Any]) -> list[float]:
    """How long a writer's locks and unlocks take meanwhile (seconds)."""
    stop, times = threading.Event(), list[float]()

    def write() -> None:
        with open_sql_store(registry.url, pool_size=1, timeout=60) as store:
            for number in count():
                if stop.is_set():
                    return
                begun = time.perf_counter()
                lock_and_unlock(
                    store, _source(number % SOURCES), registry.interval(registry.length - 1 - number % A_DAY)
                )
                times.append(time.perf_counter() - begun)

    writer = threading.Thread(target=write)
    writer.start()
    meanwhile()
    stop.set()
    writer.join()
    return times
