"""Waiting for a condition with a real registry: time alone ends a wait, and whatever happens still does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.awaiting import Awaited, Verdict
from airflow_provider_partition_registry.domain.condition_text import read_condition
from airflow_provider_partition_registry.domain.conditions import Occasion
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.waiting import WaitOutcome
from airflow_provider_partition_registry.store import poller as polling
from airflow_provider_partition_registry.store.awaiting import news_of
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.waiters import News
from testbed.processes import until
from tests.contract.homes import hours
from tests.contract.test_poller import SOON, Counted

NEVER = 600.0  # seconds


@pytest.fixture
def store(migrated_sqlite_url: str) -> Iterator[RegistryStore]:
    with open_store(migrated_sqlite_url) as store:
        for source in ("a", "b"):
            store.register_provider("p", store.register_source(source, "ann").access_token)
        yield store


@pytest.fixture
def reader(store: RegistryStore, migrated_sqlite_url: str) -> Counted:
    return Counted.at(migrated_sqlite_url)


def publish(store: RegistryStore, source: str, start: int, end: int) -> None:
    key = PartitionKey(source, "p", hours(start, end))
    store.lock(key, register=True)
    store.unlock(key)


def awaited(text: str, began_at: datetime | None = None) -> Awaited:
    occasion = Occasion(hours(0, 4), began_at or datetime.now(UTC))
    return Awaited(read_condition(text).on(occasion))


class Waiting:
    """Somebody who waits for a condition, and what was told so far."""

    def __init__(self, condition: Awaited, poller: Poller, poll_interval: float) -> None:
        self.news: list[News] = []
        self._condition = condition
        self._updates = news_of(condition, poller, poll_interval)

    async def verdict(self) -> Verdict:
        async with aclosing(self._updates) as updates:
            async for news in updates:
                self.news.append(news)
                if news.answers is not None:
                    verdict = self._condition.judge(news.answers, datetime.now(UTC))
                    if verdict.is_met:
                        return verdict
        raise AssertionError


def play(
    condition: Awaited, reader: Counted, meanwhile: Any = None, poll_interval: float = NEVER, **options: Any
) -> tuple[Verdict, Waiting]:
    """Wait; ``meanwhile`` is called once something was told."""

    async def run() -> tuple[Verdict, Waiting]:
        waiting = Waiting(condition, Poller(lambda: reader, **options), poll_interval)
        task = asyncio.create_task(waiting.verdict())
        if meanwhile is not None:
            await until(lambda: bool(waiting.news), what="the first news")
            assert not task.done()
            await asyncio.to_thread(meanwhile)
        return await asyncio.wait_for(task, SOON), waiting

    return asyncio.run(run())


def sources(verdict: Verdict) -> list[str]:
    return [each.readiness.question.source_name for each in verdict.decided]


def test_an_alternative_counts_when_its_time_has_come(store: RegistryStore, reader: Counted) -> None:
    publish(store, "b", 0, 4)
    began_at = time.monotonic()
    verdict, waiting = play(awaited("a else b after 1s"), reader)
    assert 1 <= time.monotonic() - began_at < SOON
    assert (verdict.outcome, sources(verdict)) == (WaitOutcome.READY, ["b"])
    assert len(waiting.news) == 2


def test_a_wait_that_began_elsewhere_does_not_begin_again(store: RegistryStore, reader: Counted) -> None:
    publish(store, "b", 0, 4)
    verdict, waiting = play(awaited("a else b after 2h", datetime.now(UTC) - timedelta(hours=2)), reader)
    assert sources(verdict) == ["b"]
    assert len(waiting.news) == 1


def test_partial_coverage_counts_after_its_grace(store: RegistryStore, reader: Counted) -> None:
    publish(store, "a", 0, 3)
    verdict, _ = play(awaited("a else 75% after 1s"), reader)
    assert verdict.outcome is WaitOutcome.PARTIAL
    (decided,) = verdict.decided
    assert decided.missing == (hours(3, 4),)


def test_what_happens_before_a_moment_ends_the_wait(store: RegistryStore, reader: Counted) -> None:
    publish(store, "b", 0, 4)
    verdict, _ = play(
        awaited("a else b after 1h"), reader, lambda: publish(store, "a", 0, 4), poll_interval=0.1
    )
    assert sources(verdict) == ["a"]


def test_what_is_enough_is_told_at_once(
    store: RegistryStore, reader: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though not everything is ready, and the next explanation is far."""
    monkeypatch.setattr(polling, "EXPLANATION_PAUSE", NEVER)
    verdict, waiting = play(
        awaited("any(a, b)"), reader, lambda: publish(store, "b", 0, 4), poll_interval=0.1
    )
    assert sources(verdict) == ["b"]
    assert len(waiting.news) == 2


def test_whoever_needs_reasons_is_told_them_among_those_who_do_not(
    store: RegistryStore, reader: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "EXPLANATION_PAUSE", 0.3)

    async def run() -> None:
        poller = Poller(lambda: reader, explains=False)
        partial = Waiting(awaited("a else 50%"), poller, 0.1)
        plain = Waiting(awaited("any(b, a[-1 day])"), poller, 0.1)
        tasks = [asyncio.create_task(each.verdict()) for each in (partial, plain)]
        await until(lambda: bool(partial.news and plain.news), what="the first news")
        for start in range(2):
            assert not tasks[0].done()
            await asyncio.to_thread(publish, store, "a", start, start + 1)
        assert (await asyncio.wait_for(tasks[0], SOON)).decided[0].missing == (hours(2, 4),)
        await asyncio.to_thread(publish, store, "b", 0, 4)
        assert sources(await asyncio.wait_for(tasks[1], SOON)) == ["b"]
        # Nobody asked for reasons of what only the other waits for.
        explained = [asked for asked, explain in zip(reader.asked, reader.explained, strict=True) if explain]
        assert {name for asked in explained for name in asked} == {"a"}

    asyncio.run(run())


def test_all_parts_are_asked_in_one_question(store: RegistryStore, reader: Counted) -> None:
    """Of one moment (R2), with every part in it however often the condition names it."""
    publish(store, "b", 0, 4)
    verdict, _ = play(awaited("all(b, any(a, b), a else 10% after 1s else b after 1s)"), reader)
    assert sources(verdict) == ["b"]
    assert {asked for asked in reader.asked if len(asked) > 1} == {("b", "a")}


@pytest.mark.postgres
def test_is_woken_by_postgresql(postgres_url: str) -> None:
    with open_store(postgres_url, pool_size=2) as store:
        for source in ("a", "b"):
            store.register_provider("p", store.register_source(source, "ann").access_token)
        publish(store, "a", 0, 2)
        reader = Counted.at(postgres_url)
        condition = awaited("all(a else 75% else b after 1h, b[-1 hour] else a[last 2 hours] else 50%)")

        def write() -> None:
            publish(store, "a", 2, 3)

        verdict, _ = play(condition, reader, write)
        assert [(each.readiness.question.interval, each.missing) for each in verdict.decided] == [
            (hours(0, 4), (hours(3, 4),)),
            (hours(2, 4), (hours(3, 4),)),
        ]
