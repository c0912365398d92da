"""Who waits for what, and what each of them hears."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store.waiters import News, Waiter, Waiters

DAY = Interval("2026-03-01", "2026-03-02")


def waiter_for(*source_names: str, poll_interval: float = 60) -> Waiter:
    return Waiter(tuple(Question(name, DAY) for name in source_names), poll_interval)


def answered(is_ready: bool, as_of: int, *gaps: Interval) -> News:
    return News((Readiness(Question("sales", DAY), is_ready, as_of, gaps),))


def taken(waiters: Waiters, *, everybody: bool = False, fully: bool = True) -> set[Waiter]:
    return set(waiters.take(everybody=everybody, fully=fully))


def test_a_slow_waiter_hears_what_is_newest() -> None:
    async def play() -> None:
        waiter = waiter_for("sales")
        waiter.tell(answered(False, 1, DAY))
        waiter.tell(answered(True, 2))
        assert (await waiter.next_news()).is_ready
        waiter.tell(answered(True, 3))  # which is no news
        waiter.tell(answered(False, 4, DAY))
        assert not (await waiter.next_news()).is_ready

    asyncio.run(play())


def test_an_error_ends_the_wait_of_one_who_has_not_heard_everything() -> None:
    waiter = waiter_for("sales")
    waiter.tell(answered(False, 1))
    waiter.fail(ValueError("damaged"))
    with pytest.raises(ValueError, match="damaged"):
        asyncio.run(waiter.next_news())


def test_who_comes_is_asked_for_once_and_again_when_its_sources_change() -> None:
    waiters = Waiters()
    sales, both = waiter_for("sales"), waiter_for("sales", "stock")
    waiters.add(sales)
    waiters.add(both)
    assert taken(waiters) == {sales, both}
    assert taken(waiters) == set()
    assert waiters.hear(frozenset({"stock"}))
    assert taken(waiters) == {both}
    assert not waiters.hear(frozenset({"elsewhere"}))
    assert waiters.hear(frozenset()), "any source may have changed"
    assert taken(waiters) == {sales, both}


def test_who_was_not_told_why_is_asked_for_again() -> None:
    waiters = Waiters()
    sales = waiter_for("sales")
    waiters.add(sales)
    assert taken(waiters, fully=False) == {sales}
    assert waiters.are_half_answered
    assert taken(waiters, fully=False) == set()
    assert taken(waiters) == {sales}
    assert not waiters.are_half_answered


def test_who_leaves_is_forgotten() -> None:
    waiters = Waiters()
    patient, impatient = waiter_for("sales", "sales"), waiter_for("stock", poll_interval=1)
    waiters.add(patient)
    waiters.add(impatient)
    assert waiters.shortest_interval == 1
    waiters.take(everybody=True, fully=False)
    waiters.discard(impatient)
    waiters.discard(impatient)
    assert taken(waiters, everybody=True) == {patient}
    assert waiters.shortest_interval == 60
    waiters.discard(patient)
    assert not waiters.hear(frozenset({"sales", "stock"}))
    assert len(waiters) == 0
