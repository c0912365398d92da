"""An event loop full of waiting triggers, with a real PostgreSQL that also dies."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store import listening, poller
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database import time_limits as watchdog
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from airflow_provider_partition_registry.triggers.partition_registry import PartitionReadinessTrigger
from testbed.postgres import PostgresServer
from testbed.processes import until, wait_until
from tests.airflow.registries import Connect, publish, with_providers
from tests.conftest import upgrade

pytestmark = pytest.mark.postgres

CROWD = 500
DAYS_ASKED = 30
LONGEST_COMPUTING = 0.2  # seconds of CPU time; the triggerer complains about so many by the clock
SOON = listening.LISTENING_SLICE + 10
WHOLE_MONTH = Interval("2026-11-01", "2026-12-01")


def a_crowd(size: int) -> list[PartitionReadinessTrigger]:
    return [
        PartitionReadinessTrigger(
            partition_registry_conn_id="partition_registry_default",
            source_name="sales",
            start=f"2026-11-{number % DAYS_ASKED + 1:02}",
            grain="day",
            poll_interval=120.0,
        )
        for number in range(size)
    ]


async def event_of(trigger: PartitionReadinessTrigger) -> Any:
    return [event.payload async for event in trigger.run()]


class Ticker:
    """Notices for how long the event loop computes in one go. By the clock a busy machine would count as well."""

    longest_computing = 0.0

    async def run(self) -> None:
        while True:
            computed = time.thread_time()
            await asyncio.sleep(0.01)
            self.longest_computing = max(self.longest_computing, time.thread_time() - computed)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of questions in each call of the store."""
    sizes: list[int] = []
    ask = SqlRegistryStore.check_readiness_many

    def count(self: SqlRegistryStore, questions: Any, **arguments: Any) -> Any:
        sizes.append(len(questions))
        return ask(self, questions, **arguments)

    monkeypatch.setattr(SqlRegistryStore, "check_readiness_many", count)
    return sizes


async def until_quiet(asked: list[int]) -> None:
    """Wait until nobody has asked for a while: all have joined and got their explanation, and the listener listens."""
    await until(lambda: DAYS_ASKED in asked, what="all to be asked for")
    async with asyncio.timeout(60):
        while asked:
            asked.clear()
            await asyncio.sleep(poller.EXPLANATION_PAUSE + 1.5)


@pytest.fixture
def threads_that_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog's thread ends at once here; tests would have to wait for it."""
    monkeypatch.setattr(watchdog, "IDLE_AFTER", 0.0)


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("partition-registry")]


def test_a_crowd_shares_one_question(
    postgres_registry: RegistryStore, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "EXPLANATION_PAUSE", 0.5)

    async def run() -> tuple[Any, Ticker, float]:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(CROWD)]
        await until_quiet(asked)
        ticker = Ticker()
        ticking = asyncio.create_task(ticker.run())
        assert not any(task.done() for task in waiting)
        published_at = time.monotonic()
        await asyncio.to_thread(publish, postgres_registry, "sales", WHOLE_MONTH)
        events = await asyncio.wait_for(asyncio.gather(*waiting), 60)
        took = time.monotonic() - published_at
        ticking.cancel()
        return events, ticker, took

    events, ticker, took = asyncio.run(run())
    assert {event["status"] for (event,) in events} == {"ready"}
    assert took < 30, "woken by the notification, long before the poll interval of 120 s"
    assert set(asked) == {DAYS_ASKED}, "all wait for one batch, in which nothing is asked twice"
    assert len(asked) <= 5
    assert ticker.longest_computing < LONGEST_COMPUTING


@pytest.mark.usefixtures("threads_that_end_soon")
def test_cancelled_triggers_leave_nothing_behind(
    postgres_registry: RegistryStore, asked: list[int], postgres: PostgresServer, postgres_url: str
) -> None:
    async def run() -> None:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(20)]
        await until(lambda: 20 in asked and len(our_threads()) == 2, what="all to be asked for")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await until(lambda: not our_threads(), what="our threads to end", timeout=SOON)

    asyncio.run(run())
    postgres_registry.close()
    assert connections(postgres, postgres_url) == 0


@pytest.mark.usefixtures("threads_that_end_soon")
def test_a_loop_that_ends_leaves_nothing_behind(
    postgres_registry: RegistryStore, asked: list[int], postgres: PostgresServer, postgres_url: str
) -> None:
    """As with ``dag.test()``, which runs every trigger in an event loop of its own."""

    async def run() -> None:
        waiting = asyncio.create_task(event_of(a_crowd(1)[0]))
        await until(lambda: asked, what="a question")
        await asyncio.to_thread(publish, postgres_registry, "sales", WHOLE_MONTH)
        await waiting

    asyncio.run(run())
    postgres_registry.close()
    wait_until(
        lambda: not our_threads() and not connections(postgres, postgres_url),
        what="our threads and connections to end",
        timeout=SOON,
    )


@pytest.fixture
def mortal() -> Iterator[PostgresServer]:
    with PostgresServer(durable=True, options={"synchronous_commit": "on"}) as server:
        yield server


def test_a_server_that_dies_and_comes_back(
    mortal: PostgresServer,
    connect: Connect,
    asked: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(PartitionReadinessTrigger, "log", logging.getLogger("trigger"))
    monkeypatch.setattr(listening, "LONGEST_BACK_OFF", 1.0)
    url = upgrade(mortal.url())
    connect(url, extra={"timeout": 5})
    store = with_providers(open_store(url))

    async def run() -> Any:
        waiting = [asyncio.create_task(event_of(trigger)) for trigger in a_crowd(100)]
        await until(lambda: DAYS_ASKED in asked, what="all to be asked for")
        await asyncio.to_thread(mortal.kill)
        asked.clear()
        await until(lambda: len(troubles()) >= 100 and len(asked) >= 3, what="all to tell of the trouble")
        await asyncio.to_thread(mortal.start)
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(publish, store, "sales", WHOLE_MONTH)
        return await asyncio.wait_for(asyncio.gather(*waiting), 60)

    def troubles() -> list[str]:
        told = [record.getMessage() for record in caplog.records if record.name == "trigger"]
        return [message for message in told if "does not respond" in message]

    events = asyncio.run(run())
    store.close()
    assert {event["status"] for (event,) in events} == {"ready"}
    assert len(troubles()) == 100, "each trigger tells of the trouble once"


def connections(server: PostgresServer, url: str) -> int:
    """How many of ours there are to the database with this URL; other tests leave theirs open to others."""
    ours = f"application_name = 'partition-registry' AND datname = '{urlsplit(url).path[1:]}'"
    return int(server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}")[0][0])
