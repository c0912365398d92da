"""Whole grains that became ready: told once per publication (R9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import GrainEvent, Holder, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, refused
from tests.contract.homes import ManualClock, hours

DECISION: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}
HOUR = timedelta(hours=1)
FOUR_HOURS = timedelta(hours=4)


def key(interval: Interval, provider: str = "p") -> PartitionKey:
    return PartitionKey("s", provider, interval)


def publish(store: RegistryStore, *intervals: Interval, provider: str = "p") -> None:
    for each in intervals:
        store.lock(key(each, provider), register=True)
        store.unlock(key(each, provider))


class Follower:
    """Reads on from where it was."""

    def __init__(
        self, store: RegistryStore, grain: Any = FOUR_HOURS, timezone: str = "UTC", limit: int = 1000
    ):
        self.store = store
        self.options: dict[str, Any] = {"grain": grain, "timezone": timezone, "limit": limit}
        self.reached = str(store.last_position())

    def events(self) -> list[GrainEvent]:
        found: list[GrainEvent] = []
        after: str | int | None = self.reached
        while after is not None:
            page = self.store.grain_events("s", after=after, **self.options)
            found += page.items
            after, self.reached = page.next, page.reached
        return found

    def new(self) -> list[Interval]:
        return [each.interval for each in self.events()]


class GrainContract(ContractBase):
    @pytest.fixture
    def follower(self, store: RegistryStore) -> Follower:
        return Follower(store)

    def test_a_grain_is_told_when_its_last_part_is_published(
        self, store: RegistryStore, follower: Follower, clock: ManualClock
    ) -> None:
        publish(store, hours(0, 1), hours(1, 2), hours(3, 4))
        assert follower.new() == []
        clock.advance(HOUR)
        publish(store, hours(2, 3))
        position = store.last_position()
        assert follower.events() == [
            GrainEvent("s", hours(0, 4), position, clock.now, str(position)),
        ]
        assert follower.new() == []
        assert follower.reached == str(position)

    def test_a_rewrite_is_another_version(self, store: RegistryStore, follower: Follower) -> None:
        publish(store, hours(0, 4), hours(4, 8))
        publish(store, hours(0, 4))
        told = follower.events()
        assert [each.interval for each in told] == [hours(0, 4), hours(4, 8), hours(0, 4)]
        assert [each.version for each in told] == sorted({each.version for each in told})

    def test_partitions_may_be_longer_and_lie_across(self, store: RegistryStore, follower: Follower) -> None:
        publish(store, hours(-1, 9))
        assert follower.new() == [hours(0, 4), hours(4, 8)]
        publish(store, hours(8.5, 12))
        assert follower.new() == [hours(8, 12)]
        publish(store, hours(3, 5))
        assert follower.new() == [hours(0, 4), hours(4, 8)]

    def test_a_lock_that_is_given_back_is_not_told(self, store: RegistryStore, follower: Follower) -> None:
        publish(store, hours(0, 2), hours(2, 4))
        assert follower.new() == [hours(0, 4)]
        for each in (hours(0, 2), hours(2, 4)):
            store.lock(key(each))
        for each in (hours(0, 2), hours(2, 4)):
            store.release(key(each))
        store.lock(key(hours(1, 3), "q"), register=True, exclusive=True)
        store.release(key(hours(1, 3), "q"))
        store.lock_many([key(hours(0, 2)), key(hours(2, 4))])
        store.release_many([key(hours(0, 2)), key(hours(2, 4))])
        assert store.check_readiness("s", hours(0, 4)).is_ready
        assert follower.new() == []

    def test_a_release_tells_what_was_published_meanwhile(
        self, store: RegistryStore, follower: Follower
    ) -> None:
        publish(store, hours(0, 2), hours(2, 4))
        assert follower.new() == [hours(0, 4)]
        store.lock(key(hours(0, 2)))
        publish(store, hours(2, 4))
        assert follower.new() == []
        store.release(key(hours(0, 2)))
        assert follower.new() == [hours(0, 4)]

    def test_a_release_uncovers_what_others_published_for_the_first_time(
        self, store: RegistryStore, follower: Follower
    ) -> None:
        store.lock(key(hours(0, 1)), register=True)
        publish(store, hours(0, 4), provider="q")
        assert follower.new() == []
        store.release(key(hours(0, 1)))
        assert follower.new() == [hours(0, 4)]

    def test_people_can_complete_a_grain(self, store: RegistryStore, follower: Follower) -> None:
        publish(store, hours(0, 4), provider="q")
        store.lock(key(hours(0, 1)), register=True)
        store.fail(key(hours(0, 1)), reason="disk full")
        assert follower.new() == [hours(0, 4)]
        store.withdraw(key(hours(0, 1)), **DECISION)
        assert follower.new() == [hours(0, 4)]
        store.lock(key(hours(0, 1)))
        store.force_release(key(hours(0, 1)), to=PartitionState.READY, **DECISION)
        assert follower.new() == [hours(0, 4)]
        store.lock(key(hours(0, 1)))
        store.force_release(key(hours(0, 1)), **DECISION)
        store.invalidate(key(hours(0, 4), "q"), **DECISION)
        assert follower.new() == []

    def test_withdrawing_leaves_another_version_if_others_cover_it(
        self, store: RegistryStore, follower: Follower
    ) -> None:
        publish(store, hours(0, 4), provider="q")
        publish(store, hours(1, 2))
        assert follower.new() == [hours(0, 4)] * 2
        store.withdraw(key(hours(1, 2)), **DECISION)
        assert follower.new() == [hours(0, 4)]
        store.withdraw(key(hours(0, 4), "q"), **DECISION)
        assert follower.new() == []

    def test_one_call_tells_a_grain_once(self, store: RegistryStore, follower: Follower) -> None:
        all_hours = [key(hours(each, each + 1)) for each in (*range(4), 5, *range(8, 12))]
        store.lock_many(all_hours, register=True)
        store.unlock_many(all_hours)
        position = store.last_position()
        told = follower.events()
        assert [each.interval for each in told] == [hours(0, 4), hours(8, 12)]
        assert {each.version for each in told} == {position}

    def test_many_grains_of_one_event_come_page_by_page(self, store: RegistryStore) -> None:
        follower = Follower(store, HOUR, limit=7)
        begin = follower.reached
        publish(store, hours(0, 24), hours(24, 26))
        told = follower.events()
        assert [each.interval for each in told] == [hours(each, each + 1) for each in range(26)]
        for place, each in enumerate(told):
            rest = store.grain_events("s", HOUR, after=each.cursor)
            assert rest.items == tuple(told[place + 1 :])
            assert rest.reached == told[-1].cursor
        follower.reached = begin
        for each in told:  # and one by one
            page = store.grain_events("s", HOUR, after=follower.reached, limit=1)
            assert page.items == (each,)
            follower.reached = page.reached
        assert store.grain_events("s", HOUR, after=follower.reached).items == ()

    @pytest.mark.parametrize(
        ("zone", "day"),
        [
            ("UTC", Interval("2026-03-29T00:00Z", "2026-03-30T00:00Z")),
            ("Europe/Paris", Interval("2026-03-28T23:00Z", "2026-03-29T22:00Z")),
            ("Asia/Kolkata", Interval("2026-03-28T18:30Z", "2026-03-29T18:30Z")),
        ],
    )
    def test_days_begin_where_the_time_zone_says(
        self, store: RegistryStore, zone: str, day: Interval
    ) -> None:
        follower = Follower(store, "day", zone)
        second = timedelta(seconds=1)
        publish(store, Interval(day.start + second, day.end))
        assert follower.new() == []
        publish(store, Interval(day.start - second, day.start + second))
        assert follower.new() == [day]

    def test_all_of_time(self, store: RegistryStore) -> None:
        long = Follower(store, timedelta(days=1_000_000), limit=5)
        week = Follower(store, "week", "America/New_York", limit=5)
        begin = store.last_position()
        publish(store, Interval("0001-01-01", "9999-12-31T23:59:59.999999Z"))
        assert [each.start.year for each in long.new()] == [1970, 4707]
        page = store.grain_events("s", "week", "America/New_York", after=begin, limit=5)
        assert [each.interval.start.isoformat()[:10] for each in page.items[:2]] == [
            "0001-01-01",
            "0001-01-08",
        ]
        hour = store.grain_events("s", "hour", after=f"{page.items[0].version}@9999-12-31T20:00Z")
        assert [each.interval.start.hour for each in hour.items] == [20, 21, 22]
        assert (hour.next, week.reached) == (None, str(begin))

    def test_readers_move_on_while_nothing_becomes_ready(
        self, store: RegistryStore, follower: Follower
    ) -> None:
        store.register_partition(key(hours(0, 1)))
        store.lock(key(hours(0, 1)))
        assert follower.new() == []
        assert follower.reached == str(store.last_position())
        empty = store.grain_events("s", "day", after=0)
        assert (empty.items, empty.next, empty.reached) == ((), None, follower.reached)

    def test_places_that_the_history_does_not_have(self, store: RegistryStore) -> None:
        with refused(store, errors.InvalidInputError) as caught:
            store.grain_events("s", "day", after=10**9)
        assert "lies after the end of the history" in str(caught.value)
        with refused(store, errors.InvalidInputError) as caught:
            store.grain_events("s", "day", after="yesterday")
        assert "12@2026-11-02T00:00:00Z" in str(caught.value)

    def test_what_holders_tell_is_not_believed(self, store: RegistryStore, follower: Follower) -> None:
        imitation = {"ready": "2026-01-01/2026-01-02", "freed": "x", "was_ready": "2026-01-01/2026-01-02"}
        publish(store, hours(0, 2))
        store.lock(key(hours(2, 4)), register=True, holder=Holder("me", imitation))
        assert follower.new() == []
        store.lock(key(hours(0, 1)), register=True)
        store.unlock(key(hours(2, 4)), holder="me")
        store.release(key(hours(0, 1)))
        assert follower.new() == [hours(0, 4)]
