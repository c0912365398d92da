"""A poller with a real registry: what concerns one waiter, be it news or an error, costs the others nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.store import poller as polling
from airflow_provider_partition_registry.store.contract import Listener
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.postgres import PostgresServer
from testbed.processes import until
from tests.contract.homes import hours

SOON = 30  # seconds


class Counted(SqlRegistryStore):
    """Remembers for which sources it was asked, and whether the answers were to be explained."""

    asked: list[tuple[str, ...]]
    explained: list[bool]
    listens = False

    @classmethod
    def at(cls, url: str) -> Counted:
        store = cls(Database(url, pool_size=2, timeout=10))
        store.asked, store.explained = [], []
        return store

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        self.asked.append(tuple(each.source_name for each in questions))
        self.explained.append(explain)
        return super().check_readiness_many(questions, explain=explain)

    def open_listener(self) -> Listener | None:
        listener = super().open_listener()
        self.listens = True
        return listener


async def wait(poller: Poller, source: str, hour: int = 0, poll_interval: float = 600) -> bool:
    async with aclosing(poller.updates([Question(source, hours(hour, hour + 1))], poll_interval)) as updates:
        async for news in updates:
            if news.is_ready:
                return True
    return False


@asynccontextmanager
async def waiting(*waits: Coroutine[Any, Any, bool]) -> AsyncIterator[list[asyncio.Task[bool]]]:
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_quiet(reader: Counted, waiters: int) -> None:
    """Wait until all have joined and been answered in full, and the listener listens."""
    await until(lambda: reader.listens and sum(map(len, reader.asked)) >= waiters, what="all to be asked for")
    asked = -1
    async with asyncio.timeout(SOON):
        while asked != len(reader.asked):
            asked = len(reader.asked)
            await asyncio.sleep(polling.EXPLANATION_PAUSE + 0.5)
    reader.asked.clear()
    reader.explained.clear()


@pytest.fixture
def two_sources(postgres_url: str) -> Iterator[SqlRegistryStore]:
    with open_sql_store(postgres_url, pool_size=2, timeout=10) as store:
        for source in ("busy", "calm"):
            store.register_provider(
                "p", store.register_source(source, "ann").access_token, provider_token=None
            )
        yield store


@pytest.mark.postgres
def test_news_of_one_source_costs_those_who_wait_for_others_nothing(
    two_sources: SqlRegistryStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "EXPLANATION_PAUSE", 0.2)
    reader = Counted.at(postgres_url)

    async def play() -> None:
        poller = Poller(lambda: reader)
        busy = [wait(poller, "busy", hour) for hour in range(3)]
        calm = [wait(poller, "calm", hour) for hour in range(5)]
        async with waiting(*busy, *calm) as tasks:
            await until_quiet(reader, 8)
            for hour in range(2):
                await asyncio.to_thread(publish, two_sources, "busy", hour)
            await asyncio.wait_for(asyncio.gather(*tasks[:2]), SOON)
            await until(lambda: True in reader.explained, what="the third to be told why not")
            assert set(chain.from_iterable(reader.asked)) == {"busy"}
            await asyncio.to_thread(publish, two_sources, "calm", 4)
            assert await asyncio.wait_for(tasks[-1], SOON)

    asyncio.run(play())


@pytest.mark.postgres
def test_while_the_store_notifies_everything_is_asked_less_often(
    two_sources: SqlRegistryStore, postgres_url: str, postgres: PostgresServer
) -> None:
    """And at once when notifications may have been lost."""
    reader = Counted.at(postgres_url)

    async def play() -> None:
        poller = Poller(lambda: reader, explains=False, notified_interval=600)
        async with waiting(wait(poller, "calm", poll_interval=0.1)) as (task,):
            await until_quiet(reader, 1)
            end_listeners(postgres, postgres_url)
            await until(lambda: len(reader.asked) > 1, what="the question to be asked again")
            await until_quiet(reader, 0)
            await asyncio.to_thread(publish, two_sources, "calm", 0)
            assert await asyncio.wait_for(task, SOON)
        assert set(reader.explained) == {False}

    asyncio.run(play())


@pytest.mark.postgres
def test_what_nobody_notified_of_is_found_when_notifications_may_have_been_lost(
    two_sources: SqlRegistryStore, postgres_url: str, postgres: PostgresServer
) -> None:
    reader = Counted.at(postgres_url)

    async def play() -> None:
        poller = Poller(lambda: reader)
        async with waiting(wait(poller, "calm"), wait(poller, "busy")):
            await until_quiet(reader, 2)
            key = PartitionKey("calm", "p", hours(0, 1))
            await asyncio.to_thread(two_sources.lock, key, register=True)
            end_listeners(postgres, postgres_url)
            await until(lambda: True in reader.explained, what="the lock to be told of")
            explained = [
                asked for asked, explain in zip(reader.asked, reader.explained, strict=True) if explain
            ]
            assert explained == [("calm",)]

    asyncio.run(play())


def test_what_another_process_writes_to_sqlite_is_found_as_soon_as_ever(migrated_sqlite_url: str) -> None:
    """Notifications there are of this process's writes alone."""
    reader = Counted.at(migrated_sqlite_url)
    write = f"""
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.test_poller import publish
with open_store({migrated_sqlite_url!r}) as store:
    publish(store, "calm", 0)
"""

    async def play() -> None:
        poller = Poller(lambda: reader, explains=False, notified_interval=600)
        async with waiting(wait(poller, "calm", poll_interval=0.2)) as (task,):
            await until(lambda: len(reader.asked) > 3, what="several questions")
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", write], check=True)
            assert await asyncio.wait_for(task, SOON)

    with open_store(migrated_sqlite_url) as store:
        store.register_provider("p", store.register_source("calm", "ann").access_token)
    asyncio.run(play())


def test_more_waiters_than_one_call_can_ask_for(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All questions of a waiter are asked in one call, as all of it must be ready at one moment."""
    monkeypatch.setattr(polling, "MOST_QUESTIONS", 3)
    reader = Counted.at(migrated_sqlite_url)

    async def first_answer(poller: Poller, start: int) -> bool:
        questions = [Question("s", hours(start + n, start + n + 1)) for n in range(2)]
        async with aclosing(poller.updates(questions, 0.2)) as news:
            async for each in news:
                return each.is_ready
        return False

    async def all_of_them() -> list[bool]:
        poller = Poller(lambda: reader)
        return await asyncio.wait_for(asyncio.gather(*[first_answer(poller, 2 * n) for n in range(3)]), 30)

    with open_store(migrated_sqlite_url) as store:
        store.register_provider("p", store.register_source("s", "ann").access_token)
        store.register_partition(PartitionKey("s", "p", hours(0, 4)))
        store.unlock(PartitionKey("s", "p", hours(0, 4)))
    assert asyncio.run(all_of_them()) == [True, True, False]
    assert [len(each) for each in reader.asked[:3]] == [2, 2, 2]


def test_a_damaged_row_ends_only_waits_that_ask_about_it(migrated_sqlite_url: str) -> None:
    with open_store(migrated_sqlite_url) as store:
        for source, provider in (("good", "p"), ("bad", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
            store.lock(PartitionKey(source, provider, hours(0, 1)), register=True)
        with sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///")) as file:
            file.execute("UPDATE partition_registry_partition SET holder_details = '{' WHERE holder = 'q'")
        file.close()

        async def both() -> tuple[Any, Any]:
            poller = Poller(lambda: open_store(migrated_sqlite_url, pool_size=2))
            good = asyncio.create_task(wait(poller, "good", poll_interval=0.2))
            bad = asyncio.create_task(wait(poller, "bad", poll_interval=0.2))
            await asyncio.wait([bad], timeout=30)
            assert not good.done()
            store.unlock(PartitionKey("good", "p", hours(0, 1)))
            return await asyncio.wait_for(asyncio.gather(good, bad, return_exceptions=True), 30)

        good, bad = asyncio.run(both())
        assert good is True
        assert isinstance(bad, ValueError)


def end_listeners(postgres: PostgresServer, url: str) -> None:
    """End the connections on which somebody listens in a database."""
    database = urlsplit(url).path[1:]
    postgres.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{database}' AND query LIKE 'LISTEN%'"
    )


def publish(store: SqlRegistryStore, source: str, hour: int) -> None:
    key = PartitionKey(source, "p", hours(hour, hour + 1))
    store.unlock(key, generation=store.lock(key, register=True).generation)
