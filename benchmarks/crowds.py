"""What many waiting triggers cost: a thousand and ten thousand of them in one event loop, each size in its own process.

What is measured is ours: Airflow's triggerer keeps some state of its own for each trigger besides.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID, ConnectionSettings
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from benchmarks.data import HOUR, PROVIDER, Series
from benchmarks.report import Figure
from testbed.processes import until

SIZES = (1_000, 10_000)
SOURCES = tuple(Series(f"crowded-{number}", 0, HOUR) for number in range(10))
UNLOCKED = 100  # of the first source, one by one
POLL_INTERVAL = 10.0  # seconds; far less than anybody would choose, to see much in little time
TICKS = 2
BEAT = 0.002


@dataclass(frozen=True)
class Costs:
    """What a crowd in one event loop costs.

    :param calls: to the store, in all ticks.
    :param cpu: seconds of the whole process, in all ticks.
    :param memory: bytes that the crowd takes.
    :param held: seconds for which the event loop was held at most, by wall clock and by its own CPU time: idle, waiting
        and woken.
    :param asked_for_others: questions about sources without news, while others had some.
    :param collections: of all garbage, in all ticks. Each holds the process while it looks at all objects in it, most
        of which are Airflow's.
    """

    calls: int
    cpu: float
    memory: int
    held: dict[str, tuple[float, float]]
    asked_for_others: int
    collections: int


def figures(url: str) -> Iterator[Figure]:
    """All figures about crowds, in a registry with the sources."""
    for turn, size in enumerate(SIZES):
        command = [sys.executable, "-m", "benchmarks.crowds", url, str(size), str(turn)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield from _figures(size, Costs(**json.loads(done.stdout.splitlines()[-1])))


def _figures(size: int, costs: Costs) -> Iterator[Figure]:
    crowd = f"{size:,} triggers"
    calls = (TICKS + 1) * math.ceil(size / MOST_QUESTIONS)  # one more tick may fall into the time
    yield Figure(
        f"{crowd}: calls to the store in {TICKS} ticks, of up to {MOST_QUESTIONS:,} questions",
        *(costs.calls, 1, None, "", calls, ""),
    )
    yield Figure(f"{crowd}: memory of each", costs.memory / size / 1024, 1, at_most=10, unit="KiB")
    each = costs.cpu / TICKS / size * 1000
    yield Figure(f"{crowd}: CPU time of each per tick, one a minute by default", each, TICKS)
    yield Figure(
        f"{crowd}: full collections of garbage in {TICKS} ticks", costs.collections, 1, None, "", 0, ""
    )
    idle, idle_work = costs.held["idle"]
    for what, name in ((crowd, "waiting"), (f"{crowd}, of which some are woken", "woken")):
        pause, work = costs.held[name]
        yield Figure(
            f"{what}: longest hold of the event loop", pause * 1000, 1, None, f"idle {idle * 1000:.1f}", 50
        )
        yield Figure(f"{what}, CPU time", work * 1000, 1, None, f"idle {idle_work * 1000:.1f}", 50)
    yield Figure(
        f"{crowd}: questions about other sources while one has news",
        *(costs.asked_for_others, 1, None, "", 0, ""),
    )


@dataclass(frozen=True)
class _Call:
    """A call to the store.

    :param sources: how many questions there were about each.
    """

    sources: Counter[str]
    explain: bool


class _CountingStore(SqlRegistryStore):
    """Remembers the calls that were answered."""

    asked: list[_Call]

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        answers = super().check_readiness_many(questions, explain=explain)
        self.asked.append(_Call(Counter(each.source_name for each in questions), explain))
        return answers


class _Heart:
    """Beats in the event loop, and notices how long something else held it at most.

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


async def _held_during(work: Any) -> tuple[float, float]:
    heart = _Heart()
    beating = asyncio.create_task(heart.beat())
    await work
    beating.cancel()
    return heart.longest_pause, heart.most_work


async def _play(url: str, size: int, turn: int) -> Costs:
    store = open_sql_store(url, pool_size=2, timeout=30)
    keys = [_key(number, turn) for number in range(size)]
    for source in SOURCES:
        store.lock_many([key for key in keys if key.source_name == source.source_name], register=True)
    woken = [number for number, key in enumerate(keys) if key.source_name == SOURCES[0].source_name][
        :UNLOCKED
    ]
    asked = _count_questions(url)
    held = {"idle": await _held_during(asyncio.sleep(5))}
    await _answer_one(asked, keys[-1])
    gc.collect()
    memory = _memory()
    waiting = [asyncio.create_task(_wait(_trigger(key))) for key in keys]
    await _until_all_are_told(asked, size)
    gc.collect()
    memory = _memory() - memory
    calls, cpu, collections = len(asked), time.process_time(), _collections()
    held["waiting"] = await _held_during(asyncio.sleep(TICKS * POLL_INTERVAL))
    calls, cpu = len(asked) - calls, time.process_time() - cpu
    collections = _collections() - collections
    await _until_next_tick(asked)
    asked.clear()
    unlocking = _all_of(
        lambda: _unlock(store, [keys[each] for each in woken]), [waiting[each] for each in woken]
    )
    held["woken"] = await _held_during(unlocking)
    others = sum(call.sources.total() - call.sources[SOURCES[0].source_name] for call in asked)
    for task in waiting:
        task.cancel()
    store.close()
    return Costs(calls, cpu, memory, held, others, collections)


def _key(number: int, turn: int) -> PartitionKey:
    source = SOURCES[number % len(SOURCES)]
    hour = turn * max(SIZES) + number // len(SOURCES)
    return PartitionKey(source.source_name, PROVIDER, source.interval(hour))


def _trigger(key: PartitionKey) -> PartitionReadinessTrigger:
    return PartitionReadinessTrigger(
        partition_registry_conn_id=DEFAULT_CONN_ID,
        source_name=key.source_name,
        start=format_instant(key.interval.start),
        end=format_instant(key.interval.end),
        poll_interval=POLL_INTERVAL,
    )


def _count_questions(url: str) -> list[_Call]:
    asked: list[_Call] = []

    def open_counting(_settings: ConnectionSettings, *, pool_size: int) -> SqlRegistryStore:
        reader = _CountingStore(open_sql_store(url, pool_size=pool_size, timeout=10).database)
        reader.asked = asked
        return reader

    os.environ[f"AIRFLOW_CONN_{DEFAULT_CONN_ID.upper()}"] = json.dumps(
        {"conn_type": "partition_registry", "host": url}
    )
    ConnectionSettings.open = open_counting  # type: ignore[method-assign, assignment]
    return asked


async def _answer_one(asked: list[_Call], key: PartitionKey) -> None:
    """Let one trigger be told, for which the process learns whatever a first one needs."""
    first = asyncio.create_task(_wait(_trigger(key)))
    await _until_all_are_told(asked, 1)
    first.cancel()


async def _until_all_are_told(asked: list[_Call], size: int) -> None:
    before = _explained(asked)
    await until(lambda: _explained(asked) >= before + size, what="all to be told why", timeout=120)
    await asyncio.sleep(POLL_INTERVAL)


def _explained(asked: Sequence[_Call]) -> int:
    return sum(call.sources.total() for call in asked if call.explain)


async def _until_next_tick(asked: list[_Call]) -> None:
    """Wait until everybody has just been asked for, so that it does not happen again soon."""
    before = len(asked)
    await until(lambda: len(asked) > before, what="the next tick")
    await asyncio.sleep(POLL_INTERVAL / 3)


def _unlock(store: SqlRegistryStore, keys: Sequence[PartitionKey]) -> None:
    for key in keys:
        store.unlock(key)


def _collections() -> int:
    """How many collections of all garbage there have been in this process."""
    return int(gc.get_stats()[-1]["collections"])


def _memory() -> int:
    """What this process keeps in memory (bytes)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _wait(trigger: PartitionReadinessTrigger) -> None:
    async for _event in trigger.run():
        pass


async def _all_of(work: Callable[[], None], waiting: Sequence[asyncio.Task[None]]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.gather(*waiting)
    thread.join()


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # a thousand triggers have much to say
    print(json.dumps(asdict(asyncio.run(_play(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))))
