"""What waiting costs: from an unlock to a trigger's event, and a thousand triggers in one event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, ConnectionSettings
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from benchmarks.data import PROVIDER, Series
from benchmarks.report import Figure
from testbed.processes import until

WAITED_FOR = Series("waited-for", 0)
CROWD = 1_000
POLL_INTERVAL = 3.0  # seconds; far less than anybody would choose, to see much in little time
BEAT = 0.002


def figures(store: SqlRegistryStore, url: str, repeats: int) -> Iterator[Figure]:
    """All figures about waiting, in a registry with the source."""
    delays = sorted(delay(store, url, number) for number in range(-2, repeats))
    what = "unlock committed to the event of a trigger in another process"
    yield Figure(what, max(0.0, median(delays)), repeats, at_most=25)
    yield from asyncio.run(_crowd(store, url, first=repeats + 10))


# --- One waiter in another process ---


def delay(store: RegistryStore, url: str, number: int) -> float:
    """Milliseconds from the end of an unlock here until the other process is notified."""
    interval = WAITED_FOR.interval(number + 2)
    lock = store.lock(PartitionKey(WAITED_FOR.source_name, PROVIDER, interval), register=True)
    with _waiter(url, number + 2) as lines:
        assert next(lines) == "waiting\n"
        time.sleep(random.uniform(0.3, 0.5))  # so that it does not coincide with one of its polls
        store.unlock(PartitionKey(WAITED_FOR.source_name, PROVIDER, interval), generation=lock.generation)
        unlocked_at = time.time()
        return (float(next(lines)) - unlocked_at) * 1000


@contextmanager
def _waiter(url: str, number: int) -> Iterator[Iterator[str]]:
    command = [sys.executable, "-m", "benchmarks.waiting", url, str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield iter(process.stdout)


class _Teller(logging.Handler):
    """Reports when the trigger has asked, which is when it logs what is missing."""

    def emit(self, record: logging.LogRecord) -> None:
        if "Not ready" in record.getMessage():
            print("waiting", flush=True)


async def _wait_and_tell(url: str, number: int) -> None:
    _connect(url)
    log = logging.getLogger("trigger")
    log.setLevel(logging.INFO)
    log.addHandler(_Teller())
    log.propagate = False  # Airflow prints log lines to standard output, where the answers go
    PartitionReadinessTrigger.log = log  # type: ignore[assignment]
    trigger = _trigger(WAITED_FOR.interval(number), poll_interval=60)
    async for _event in trigger.run():
        print(time.time(), flush=True)


def _connect(url: str) -> None:
    """The settings that Airflow's connection would have."""
    connection = json.dumps({"conn_type": "partition_registry", "host": url})
    os.environ[f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}"] = connection


def _trigger(interval: Interval, poll_interval: float) -> PartitionReadinessTrigger:
    return PartitionReadinessTrigger(
        partition_registry_conn_id=DEFAULT_CONN_ID,
        source_name=WAITED_FOR.source_name,
        start=format_instant(interval.start),
        end=format_instant(interval.end),
        poll_interval=poll_interval,
    )


# --- A crowd in one event loop ---


class _CountingStore(SqlRegistryStore):
    """Remembers when it was asked, and how many questions."""

    asked: list[tuple[float, int]]

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        self.asked.append((time.monotonic(), len(questions)))
        return super().check_readiness_many(questions, explain=explain)


class _Heart:
    """Beats in the event loop, and notices how long something else blocked it at most.

    On a busy machine most of that is other processes' time; ``most_work`` is the CPU time of the loop itself between
    two beats. (seconds)
    """

    def __init__(self) -> None:
        self.longest_pause = 0.0
        self.most_work = 0.0

    async def beat(self) -> None:
        while True:
            before, worked_before = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            self.longest_pause = max(self.longest_pause, time.perf_counter() - before - BEAT)
            self.most_work = max(self.most_work, time.thread_time() - worked_before)


async def _crowd(store: SqlRegistryStore, url: str, first: int) -> list[Figure]:
    seconds = 4 * POLL_INTERVAL
    idle = await _heart_during(asyncio.sleep(seconds))
    intervals = [WAITED_FOR.interval(first + number) for number in range(CROWD)]
    locks = [
        store.lock(PartitionKey(WAITED_FOR.source_name, PROVIDER, each), register=True) for each in intervals
    ]
    asked: list[tuple[float, int]] = []

    def open_counting(_settings: ConnectionSettings, *, pool_size: int) -> SqlRegistryStore:
        reader = _CountingStore(open_sql_store(url, pool_size=pool_size, timeout=10).database)
        reader.asked = asked
        return reader

    def unlock_all() -> None:
        for each in locks:
            store.unlock(
                PartitionKey(WAITED_FOR.source_name, PROVIDER, each.interval), generation=each.generation
            )

    _connect(url)
    ConnectionSettings.open = open_counting  # type: ignore[method-assign, assignment]
    waiting = [asyncio.create_task(_wait(_trigger(each, POLL_INTERVAL))) for each in intervals]
    await until(lambda: any(size == CROWD for _, size in asked), what="all to be asked for")
    before = len(asked)
    while_waiting = await _heart_during(asyncio.sleep(seconds))
    calls = len(asked) - before
    while_waking = await _heart_during(_all_of(unlock_all, waiting))
    ticks = round(seconds / POLL_INTERVAL)
    what = f"{CROWD:,} triggers: calls to the store in {ticks} ticks"
    return [
        Figure(what, calls, 1, at_most=ticks + 1, unit=""),
        *_held(f"{CROWD:,} triggers: longest hold of the event loop", while_waiting, idle),
        *_held(f"{CROWD:,} triggers, unlocked one by one: longest hold", while_waking, idle),
    ]


def _held(what: str, heart: _Heart, idle: _Heart) -> list[Figure]:
    pause, work = heart.longest_pause * 1000, heart.most_work * 1000
    return [
        Figure(what, pause, 1, None, f"idle {idle.longest_pause * 1000:.1f}", 50),
        Figure(f"{what}, CPU time", work, 1, None, f"idle {idle.most_work * 1000:.1f}", 50),
    ]


async def _wait(trigger: PartitionReadinessTrigger) -> None:
    async for _event in trigger.run():
        pass


async def _all_of(work: Callable[[], None], waiting: list[asyncio.Task[None]]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.gather(*waiting)
    thread.join()


async def _heart_during(work: Any) -> _Heart:
    heart = _Heart()
    beating = asyncio.create_task(heart.beat())
    await work
    beating.cancel()
    return heart


if __name__ == "__main__":
    asyncio.run(_wait_and_tell(sys.argv[1], int(sys.argv[2])))
