"""A watcher over a real registry: one waiter's trouble is not the others'."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import aclosing

from airflow_provider_partition_registry.domain.models import Question
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.watch import Watcher
from tests.contract.homes import hours


def test_a_damaged_row_ends_the_wait_of_those_alone_who_ask_about_it(migrated_sqlite_url: str) -> None:
    with open_store(migrated_sqlite_url) as store:
        for source, provider in (("good", "p"), ("bad", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
            store.lock(source, provider, hours(0, 1), register=True)
        with sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///")) as file:
            file.execute("UPDATE partition_registry_partition SET holder_details = '{' WHERE holder = 'q'")
        file.close()

        async def wait(watcher: Watcher, source: str) -> bool:
            async with aclosing(watcher.watch([Question(source, hours(0, 1))], 0.2)) as news:
                async for each in news:
                    if each.is_ready:
                        return True
            return False

        async def both() -> list[bool | BaseException]:
            watcher = Watcher(lambda: open_store(migrated_sqlite_url, pool_size=2))
            good = asyncio.create_task(wait(watcher, "good"))
            bad = asyncio.create_task(wait(watcher, "bad"))
            await asyncio.wait([bad], timeout=30)
            assert not good.done()
            store.unlock("good", "p", hours(0, 1))
            return await asyncio.wait_for(asyncio.gather(good, bad, return_exceptions=True), 30)

        good, bad = asyncio.run(both())
        assert good is True
        assert isinstance(bad, ValueError)
