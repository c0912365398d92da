"""The feed: every subscriber gets every event once and in order, whatever the feed remembers, or an error."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_mock

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.waiting import feed as feed_module
from airflow_provider_partition_registry.server.waiting.feed import Feed
from airflow_provider_partition_registry.store.contract import RegistryDatabase
from airflow_provider_partition_registry.store.factory import open_database
from testbed.freezing import freezing
from testbed.processes import until
from tests.contract.homes import hours

TURN_TIMEOUT = 60  # seconds, for what normally takes a moment
ROUNDS = 150


@pytest.fixture
def store(migrated_sqlite_url: str) -> Iterator[RegistryDatabase]:
    with open_database(migrated_sqlite_url, pool_size=4) as store:
        for source, provider in (("s", "p"), ("other", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
        yield store


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the feed remember little, so that subscribers often have to read from the store."""
    monkeypatch.setattr(feed_module, "REMEMBERED", 7)
    monkeypatch.setattr(feed_module, "PAGE", 3)


@asynccontextmanager
async def running(store: RegistryDatabase) -> AsyncGenerator[Feed, None]:
    feed = Feed(store)
    reading = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def followed(
    feed: Feed, after: int, until: int, source_name: str | None = None, *, slow: bool = False
) -> list[int]:
    """The positions that a subscriber sees."""
    seen: list[int] = []
    async with asyncio.timeout(TURN_TIMEOUT), aclosing(feed.follow(after, source_name)) as found:
        async for events in found:
            seen += [event.position for event in events]
            if slow:
                await asyncio.sleep(random.uniform(0, 0.03))  # as a slow subscriber does
            if seen and seen[-1] >= until:
                break
    return seen


@pytest.mark.usefixtures("small_memory")
@pytest.mark.parametrize("seed", range(3))
def test_nobody_misses_an_event_or_sees_one_twice(store: RegistryDatabase, seed: int) -> None:
    mind = random.Random(seed)
    first = store.last_position()
    last = first + 2 * (2 * ROUNDS + 1)

    def write(source: str, provider: str) -> None:
        for _ in range(ROUNDS):
            store.lock(PartitionKey(source, provider, hours(0, 1)), register=True)
            store.unlock(PartitionKey(source, provider, hours(0, 1)))

    def follow(feed: Feed, source_name: str | None = None) -> Coroutine[Any, Any, list[int]]:
        return followed(feed, first, last + 1, source_name, slow=mind.random() < 0.5)

    async def follow_all() -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
        async with running(store) as feed:
            everything = asyncio.gather(*[follow(feed) for _ in range(20)])
            one_source = asyncio.gather(*[follow(feed, "s") for _ in range(10)])
            await asyncio.gather(*[asyncio.to_thread(write, *each) for each in (("s", "p"), ("other", "q"))])
            await asyncio.to_thread(
                store.register_partition, PartitionKey("s", "p", hours(1, 2))
            )  # an event for all
            late = [await followed(feed, after, last + 1) for after in range(first, last, 97)]
            return await everything, await one_source, late

    everything, one_source, late = asyncio.run(follow_all())
    assert everything == [list(range(first + 1, last + 2))] * 20
    assert one_source == [[event.position for event in store.events(first, "s").items]] * 10
    assert late == [list(range(after + 1, last + 2)) for after in range(first, last, 97)]


def test_a_subscriber_may_come_before_the_feed_has_read_anything(
    store: RegistryDatabase, mocker: pytest_mock.MockerFixture
) -> None:
    asked = mocker.spy(store, "events").mock_calls

    async def follow() -> list[int]:
        feed = Feed(store)
        following = asyncio.create_task(followed(feed, 0, 5))
        await until(lambda: len(asked) == 2, what="the follower to find that there is no more")
        store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        reading = asyncio.create_task(feed.run())
        try:
            return await following
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    assert asyncio.run(follow()) == [1, 2, 3, 4, 5]


def test_a_subscriber_ahead_of_the_feed_waits_for_later_events(store: RegistryDatabase) -> None:
    async def follow() -> list[int]:
        async with running(store) as feed:
            await followed(feed, 0, 4)
            for hour in range(3):
                store.register_partition(PartitionKey("s", "p", hours(hour, hour + 1)))
            following = asyncio.create_task(followed(feed, 6, 7))
            return await following

    assert asyncio.run(follow()) == [7]


def test_subscribers_get_an_error_if_a_backup_shortens_the_history(
    store: RegistryDatabase, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    file = Path(migrated_sqlite_url.removeprefix("sqlite:///"))

    async def follow() -> None:
        async with running(store) as feed:
            await followed(feed, 0, 4)
            backup = tmp_path / "backup.db"
            with sqlite3.connect(file) as present, sqlite3.connect(backup) as copy:
                present.backup(copy)
            store.register_partition(PartitionKey("s", "p", hours(0, 1)))
            store.register_partition(PartitionKey("s", "p", hours(1, 2)))
            waiting = asyncio.create_task(followed(feed, 6, 100))
            await followed(feed, 4, 6)
            # Whoever is ahead of the feed reads for itself.
            await until(lambda: feed._position == 6, what="the feed", timeout=TURN_TIMEOUT)
            with sqlite3.connect(backup) as copy, sqlite3.connect(file) as present:
                copy.backup(present)
            with pytest.raises(InvalidInputError, match="restored from a backup"):
                await waiting
            following = asyncio.create_task(followed(feed, 4, 5))
            store.register_partition(PartitionKey("s", "p", hours(5, 6)))
            assert await following == [5]

    asyncio.run(follow())


def test_a_store_in_trouble_is_waited_for(
    store: RegistryDatabase, migrated_sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(migrated_sqlite_url.removeprefix("sqlite:///"))

    async def follow() -> list[int]:
        async with running(store) as feed:
            await followed(feed, 0, 4)
            with sqlite3.connect(file) as present:
                present.execute("ALTER TABLE partition_registry_event RENAME TO gone")
            await until(lambda: "cannot be read" in caplog.text, what="the feed to notice")
            with sqlite3.connect(file) as present:
                present.execute("ALTER TABLE gone RENAME TO partition_registry_event")
            following = asyncio.create_task(followed(feed, 4, 5))
            store.register_partition(PartitionKey("s", "p", hours(0, 1)))
            return await following

    assert asyncio.run(follow()) == [5]


@pytest.mark.postgres
def test_a_slow_writer_of_another_source_holds_back_no_follower_of_one(postgres_url: str) -> None:
    with open_database(postgres_url, pool_size=4, writing_pool_size=2) as store:
        for source, provider in (("s", "p"), ("other", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
        first = store.last_position()

        async def follow() -> None:
            async with running(store) as feed:
                of_s = asyncio.create_task(followed(feed, first, first + 3, "s"))
                of_all = asyncio.create_task(followed(feed, first, first + 3))
                with freezing(postgres_url, "other") as frozen:
                    await asyncio.to_thread(store.register_partition, PartitionKey("s", "p", hours(0, 1)))
                    await asyncio.to_thread(store.unlock, PartitionKey("s", "p", hours(0, 1)))
                    assert await of_s == [first + 2, first + 3]
                    again = await followed(feed, first + 2, first + 3, "s")  # by one that comes meanwhile
                    assert again == [first + 3]
                    assert not of_all.done()
                    frozen.send_signal(signal.SIGCONT)
                    seen = await of_all
                    assert seen[:3] == [first + 1, first + 2, first + 3]
                # The frozen writer's second event comes last, and nothing comes twice.
                assert await followed(feed, first + 3, first + 4) == [first + 4]

        asyncio.run(follow())


@pytest.mark.postgres
def test_while_somebody_holds_the_history_back_it_looks_only_where_something_was_published(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, mocker: pytest_mock.MockerFixture
) -> None:
    monkeypatch.setattr(feed_module, "POLL_INTERVAL", 3600.0)  # it looks everywhere once
    with open_database(postgres_url, pool_size=4, writing_pool_size=2) as store:
        for source in ("s", "t", "other"):
            store.register_provider(f"of-{source}", store.register_source(source, "ann").access_token)
        first = store.last_position()
        looked = mocker.spy(store, "latest_positions").mock_calls

        async def follow() -> None:
            async with running(store) as feed:
                await until(lambda: feed._position == first, what="the feed to begin", timeout=TURN_TIMEOUT)
                of_t = asyncio.create_task(followed(feed, first, first + 100, "t"))
                of_s = asyncio.create_task(followed(feed, first, first + 7, "s"))
                with freezing(postgres_url, "other"):
                    for hour in range(3):
                        key = PartitionKey("s", "of-s", hours(hour, hour + 1))
                        await asyncio.to_thread(store.register_partition, key)
                        await asyncio.to_thread(store.unlock, key)
                    assert await of_s == list(range(first + 2, first + 8))
                of_t.cancel()
                await asyncio.wait([of_t])

        asyncio.run(follow())
        assert sum("t" in call.args[0] for call in looked) == 1


@pytest.mark.postgres
def test_sources_without_news_are_looked_at_in_one_statement(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, mocker: pytest_mock.MockerFixture
) -> None:
    monkeypatch.setattr(feed_module, "POLL_INTERVAL", 0.05)
    quiet = [f"quiet-{number}" for number in range(20)]
    with open_database(postgres_url, pool_size=4, writing_pool_size=2) as store:
        for source in (*quiet, "s", "other"):
            store.register_provider(f"of-{source}", store.register_source(source, "ann").access_token)
        first = store.last_position()
        asked = mocker.spy(store, "events").mock_calls
        looked = mocker.spy(store, "latest_positions").mock_calls

        async def follow() -> None:
            async with running(store) as feed:
                await until(lambda: feed._position == first, what="the feed to begin", timeout=TURN_TIMEOUT)
                waiting = [asyncio.create_task(followed(feed, first, first + 100, name)) for name in quiet]
                of_s = asyncio.create_task(followed(feed, first, first + 3, "s"))
                with freezing(postgres_url, "other"):
                    key = PartitionKey("s", "of-s", hours(0, 1))
                    await asyncio.to_thread(store.register_partition, key)
                    # A lock is not notified, so it is found only by looking everywhere.
                    await asyncio.to_thread(store.lock, key)
                    assert await of_s == [first + 2, first + 3]
                    await until(lambda: len(looked) > 3, what="looks everywhere", timeout=TURN_TIMEOUT)
                for each in waiting:
                    each.cancel()
                await asyncio.wait(waiting)

        asyncio.run(follow())
        assert {call.args[1] for call in asked} == {None, "s"}


@pytest.mark.postgres
@pytest.mark.usefixtures("small_memory")
def test_what_is_held_back_for_long_is_read_and_not_kept(postgres_url: str) -> None:
    """Followers of one source, slow ones and late ones as well, get more than the feed remembers."""
    with open_database(postgres_url, pool_size=4, writing_pool_size=2) as store:
        for source, provider in (("s", "p"), ("other", "q")):
            store.register_provider(provider, store.register_source(source, "ann").access_token)
        first = store.last_position()
        key = PartitionKey("s", "p", hours(0, 1))
        last = first + 1 + 1 + 2 * ROUNDS  # the frozen writer's, the registration, and all locks and unlocks

        def write() -> None:
            for _ in range(ROUNDS):
                store.unlock(key, generation=store.lock(key, register=True).generation)

        async def follow() -> None:
            async with running(store) as feed:
                with freezing(postgres_url, "other"):
                    present = [followed(feed, first, last, "s", slow=number > 2) for number in range(6)]
                    following = asyncio.gather(*present)
                    await asyncio.to_thread(write)
                    expected = list(range(first + 2, last + 1))
                    assert await following == [expected] * 6
                    assert await followed(feed, last - 5, last, "s") == expected[-5:]
                    assert await followed(feed, first, last, "s") == expected
                    assert sum(len(each.events) for each in feed._ahead.values()) <= feed_module.PAGE

        asyncio.run(follow())
