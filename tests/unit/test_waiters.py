"""Who waits for what, and what each of them hears."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Lock, PartitionState
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store import host_clock, waiters as waiting
from airflow_provider_partition_registry.store.waiters import News, Waiter, Waiters
from tests.unit.values import ME, partition

DAY = Interval("2026-03-01", "2026-03-02")


def waiter_for(*source_names: str, poll_interval: float = 60) -> Waiter:
    return Waiter(tuple(Question(name, DAY) for name in source_names), poll_interval)


def answered(is_ready: bool, as_of: int, *gaps: Interval) -> News:
    return News((Readiness(Question("sales", DAY), is_ready, as_of, gaps),))


def taken(waiters: Waiters, *, fully: bool = True) -> set[Waiter]:
    return set(waiters.take(fully=fully))


def all_answered(*waiting: Waiter, **positions: int | None) -> Waiters:
    """Those who wait for sources, of which each was at a position when they were answered."""
    waiters = Waiters()
    for waiter in waiting:
        waiters.add(waiter)
    waiters.answered(waiters.take(fully=True), positions)
    return waiters


def leased(taken_at: timedelta, runs_out: timedelta) -> News:
    """That a partition is locked.

    :param taken_at: when, from now.
    :param runs_out: when the lease does, from now.
    """
    now = datetime.now(UTC)
    lock = Lock(ME, 1, now + taken_at, now + runs_out)
    return News((Readiness(Question("s", DAY), False, 1, blockers=(partition("locked", lock=lock),)),))


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
    waiters.let_all_be_asked_for()
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


def test_who_waits_for_a_source_that_stays_where_it_is_is_not_asked_for() -> None:
    sales, both, stock = waiter_for("sales"), waiter_for("sales", "stock"), waiter_for("stock")
    waiters = all_answered(sales, both, stock, sales=3, stock=4)
    waiters.looked({"sales": 3, "stock": 4})
    assert taken(waiters) == set()
    waiters.looked({"sales": 3, "stock": 5})
    assert taken(waiters) == {both, stock}
    waiters.answered([both, stock], {"sales": 3, "stock": 5})
    waiters.looked({"sales": 3, "stock": 5})
    assert taken(waiters) == set()


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None), (7, 3)], ids=["new", "gone", "restored"])
def test_a_source_that_comes_or_goes_or_goes_back_has_moved(before: int | None, after: int | None) -> None:
    sales = waiter_for("sales")
    waiters = all_answered(sales, sales=before)
    waiters.looked({"sales": after})
    assert taken(waiters) == {sales}


def test_what_is_heard_while_somebody_is_asked_for_is_not_lost() -> None:
    sales = waiter_for("sales")
    waiters = Waiters()
    waiters.add(sales)
    asked = waiters.take(fully=True)
    waiters.hear(frozenset({"sales"}))
    waiters.answered(asked, {"sales": 3})
    assert taken(waiters) == {sales}


def test_what_a_newcomer_is_told_is_news_to_those_who_wait_already() -> None:
    first, second = waiter_for("sales"), waiter_for("sales")
    waiters = all_answered(first, sales=3)
    waiters.add(second)
    waiters.answered(waiters.take(fully=True), {"sales": 4})
    waiters.looked({"sales": 4})
    assert taken(waiters) == {first, second}


def test_who_comes_while_others_are_asked_for_makes_nobody_be_asked_for_again() -> None:
    first, second = waiter_for("sales"), waiter_for("sales")
    waiters = Waiters()
    waiters.add(first)
    asked = waiters.take(fully=True)
    waiters.add(second)
    waiters.answered(asked, {"sales": 3})
    waiters.answered(waiters.take(fully=True), {"sales": 3})
    waiters.looked({"sales": 3})
    assert taken(waiters) == set()


def test_one_of_each_source_is_looked_at_and_all_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOKED_AT_IN_TURN", 2)
    crowd, lonely = [waiter_for("sales") for _ in range(9)], waiter_for("stock")
    waiters = all_answered(lonely, *crowd, sales=1, stock=1)
    seen: set[Waiter] = set()
    for _ in range(5):
        found = waiters.to_look_at()
        assert len(found) <= 4
        assert lonely in found
        assert set(crowd) & set(found)
        seen.update(found)
    assert seen == {lonely, *crowd}


def test_an_answer_stands_until_a_lease_that_it_tells_of_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    sales = waiter_for("sales")
    waiters = all_answered(sales, sales=3)
    sales.tell(leased(timedelta(seconds=-60), timedelta(seconds=60)))
    waiters.looked({"sales": 3})
    assert taken(waiters) == set()
    later = host_clock.now() + 61
    monkeypatch.setattr(host_clock, "now", lambda: later)
    waiters.looked({"sales": 3})
    assert taken(waiters) == {sales}
    sales.tell(leased(timedelta(seconds=-60), timedelta(seconds=300)))  # renewed, which is no news
    waiters.looked({"sales": 3})
    assert taken(waiters) == set()
    sales.stands_until = later
    sales.tell(answered(False, 3, DAY))
    waiters.looked({"sales": 3})
    assert taken(waiters) == set()


def test_a_clock_other_than_the_registrys_is_not_trusted_for_long() -> None:
    """A lock just taken, whose lease is five minutes by its own times, and more by this host's, which is behind."""
    sales = waiter_for("sales")
    sales.tell(leased(timedelta(hours=2), timedelta(hours=2, minutes=5)))
    assert sales.stands_until - host_clock.now() <= 300
    sales.tell(leased(timedelta(hours=-2), timedelta(hours=2)))
    assert sales.stands_until - host_clock.now() <= waiting.LEASES_TRUSTED_FOR


@pytest.mark.parametrize("state", [PartitionState.EXPIRED, PartitionState.FAILED])
def test_what_is_over_already_stands_until_something_happens(state: PartitionState) -> None:
    sales = waiter_for("sales")
    blocker = partition(state.value, lock=Lock(ME, 1, datetime.now(UTC), datetime.now(UTC)))
    sales.tell(News((Readiness(Question("s", DAY), False, 1, blockers=(blocker,)),)))
    assert sales.stands_until == math.inf


def test_who_leaves_is_forgotten() -> None:
    patient, impatient = waiter_for("sales", "sales"), waiter_for("stock", poll_interval=1)
    waiters = all_answered(patient, impatient, sales=1, stock=1)
    assert waiters.shortest_interval == 1
    waiters.discard(impatient)
    waiters.discard(impatient)
    assert waiters.to_look_at() == [patient]
    assert waiters.shortest_interval == 60
    waiters.looked({"sales": 1, "stock": 2})  # it left in between
    assert taken(waiters) == set()
    waiters.discard(patient)
    assert not waiters.hear(frozenset({"sales", "stock"}))
    assert len(waiters) == 0
