"""A poller with a real registry: an error that concerns one waiter does not affect the others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.store import poller as polling
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.contract.homes import hours


def test_more_waiters_than_one_call_can_ask_for(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All questions of a waiter are asked in one call, as all of it must be ready at one moment."""
    monkeypatch.setattr(polling, "MOST_QUESTIONS", 3)
    asked: list[int] = []

    class Counted(SqlRegistryStore):
        def check_readiness_many(
            self, questions: Sequence[Question], *, explain: bool = True
        ) -> list[Answer]:
            asked.append(len(questions))
            return super().check_readiness_many(questions, explain=explain)

    def open_counted() -> SqlRegistryStore:
        return Counted(Database(migrated_sqlite_url, pool_size=2, timeout=10))

    async def wait(poller: Poller, start: int) -> bool:
        questions = [Question("s", hours(start + n, start + n + 1)) for n in range(2)]
        async with aclosing(poller.updates(questions, 0.2)) as news:
            async for each in news:
                return each.is_ready
        return False

    async def all_of_them() -> list[bool]:
        poller = Poller(open_counted)
        return await asyncio.wait_for(asyncio.gather(*[wait(poller, 2 * n) for n in range(3)]), 30)

    with open_store(migrated_sqlite_url) as store:
        store.register_provider("p", store.register_source("s", "ann").access_token)
        store.register_partition(PartitionKey("s", "p", hours(0, 4)))
        store.unlock(PartitionKey("s", "p", hours(0, 4)))
    assert asyncio.run(all_of_them()) == [True, True, False]
    assert asked[:3] == [2, 2, 2]


def test_a_damaged_row_ends_only_waits_that_ask_about_it(migrated_sqlite_url: str) -> None:
    with open_store(migrated_sqlite_url) as store:
        for source, provider in (("good", "p"), ("bad", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
            store.lock(PartitionKey(source, provider, hours(0, 1)), register=True)
        with sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///")) as file:
            file.execute("UPDATE partition_registry_partition SET holder_details = '{' WHERE holder = 'q'")
        file.close()

        async def wait(poller: Poller, source: str) -> bool:
            async with aclosing(poller.updates([Question(source, hours(0, 1))], 0.2)) as news:
                async for each in news:
                    if each.is_ready:
                        return True
            return False

        async def both() -> tuple[Any, Any]:
            poller = Poller(lambda: open_store(migrated_sqlite_url, pool_size=2))
            good = asyncio.create_task(wait(poller, "good"))
            bad = asyncio.create_task(wait(poller, "bad"))
            await asyncio.wait([bad], timeout=30)
            assert not good.done()
            store.unlock(PartitionKey("good", "p", hours(0, 1)))
            return await asyncio.wait_for(asyncio.gather(good, bad, return_exceptions=True), 30)

        good, bad = asyncio.run(both())
        assert good is True
        assert isinstance(bad, ValueError)
