"""What people look at: sources at a glance, a source over time, and its history backwards."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    BLOCKING_STATES,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.viewing import (
    COUNTED_AT_MOST,
    LANES_AT_MOST,
    Blockage,
    Stretch,
    Timeline,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, walk
from tests.contract.homes import ManualClock, all_events, hours
from tests.contract.reading import publish

HOUR = timedelta(hours=1)
DAY = hours(0, 24)


class ViewingContract(ContractBase):
    def test_a_source_without_partitions_at_a_glance(self, store: RegistryStore) -> None:
        seen = store.get_overview("s")
        assert seen.source == store.get_source("s")
        assert (seen.extent, seen.last_ready, seen.blockages) == (None, None, ())

    def test_a_source_at_a_glance(self, store: RegistryStore, clock: ManualClock) -> None:
        store.register_partition(PartitionKey("s", "q", hours(-5, -4)))
        publish(store, hours(0, 1), hours(3, 4), hours(4, 6))
        began = clock.now
        store.lock(PartitionKey("s", "p", hours(6, 7)), register=True, lease=HOUR)
        store.lock(PartitionKey("s", "p", hours(7, 8)), register=True)
        store.lock(PartitionKey("s", "q", hours(1, 2)), register=True)
        store.fail(PartitionKey("s", "q", hours(1, 2)), reason="disk full")
        ended = clock.advance(HOUR)
        seen = store.get_overview("s")
        assert (seen.extent, seen.last_ready) == (hours(-5, 8), hours(3, 6))
        assert seen.blockages == (
            Blockage(PartitionState.LOCKED, 1, began),
            Blockage(PartitionState.EXPIRED, 1, ended),
            Blockage(PartitionState.FAILED, 1, began),
        )
        assert store.list_overviews("s").items == (seen,)

    def test_no_more_blockers_are_counted_than_people_want_to_know_of(self, store: RegistryStore) -> None:
        for hour in range(COUNTED_AT_MOST + 1):
            store.lock(PartitionKey("s", "p", hours(hour, hour + 1)), register=True)
        (blockage,) = store.get_overview("s").blockages
        assert blockage.count == COUNTED_AT_MOST

    def test_sources_by_the_beginning_of_their_names(self, store: RegistryStore) -> None:
        for name in ("shop.b", "shop.a", "Shop.c", "shop%x", "a/b?c"):
            store.register_source(name, "ann")
        assert [each.source.name for each in store.list_overviews("shop.").items] == ["shop.a", "shop.b"]
        assert [each.source.name for each in store.list_overviews("shop%").items] == ["shop%x"]
        assert [each.source.name for each in store.list_overviews("a/b?").items] == ["a/b?c"]
        assert store.list_overviews("shop.c").items == ()
        everything = walk(lambda after: store.list_overviews(None, after, 3), "source")
        assert [source for page in everything for source in page] == list(store.list_sources().items)

    def test_the_history_backwards(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1))
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)
        pages = walk(lambda before: store.latest_events("s", before, 3), "position")
        assert [each for page in pages for each in page] == [
            each.position for each in reversed(all_events(store, 0, "s"))
        ]
        assert store.latest_events("s", 1).items == ()

    def test_what_is_few_is_listed(self, store: RegistryStore) -> None:
        publish(store, hours(0, 2), hours(2, 3), hours(5, 40))
        failed = store.lock(PartitionKey("s", "q", hours(1, 2)), register=True)
        drawn = store.timeline("s", hours(0, 24))
        assert [each.interval for each in drawn.ready] == [hours(0, 1), hours(2, 3), hours(5, 24)]
        assert all(each.is_whole for each in drawn.ready)
        assert drawn.partitions == store.list_partitions("s").items
        assert failed in drawn.partitions
        assert (drawn.lists_all, drawn.lanes) == (True, ())
        assert drawn.as_of == store.last_position()
        assert store.timeline("s", hours(24, 40), 1).ready == (Stretch(hours(24, 40), is_whole=True),)
        assert store.timeline("s", hours(40, 41)).ready == ()

    def test_of_many_partitions_only_the_blockers_are_listed(self, store: RegistryStore) -> None:
        publish(store, *[hours(hour, hour + 1) for hour in range(12)])
        publish(store, hours(20, 21), provider="q")
        failed = store.lock(PartitionKey("s", "q", hours(3, 4)), register=True)
        drawn = store.timeline("s", DAY, 6)
        assert (drawn.lists_all, drawn.lists_blockers) == (False, True)
        assert drawn.partitions == (failed,)
        assert [(each.provider_name, [mark.interval for mark in each.marks]) for each in drawn.lanes] == [
            ("p", [hours(0, 12)]),
            ("q", [hours(20, 24)]),
        ]

    def test_expired_locks_are_seen_as_such(self, store: RegistryStore, clock: ManualClock) -> None:
        store.lock(PartitionKey("s", "p", hours(0, 1)), register=True, lease=HOUR)
        clock.advance(HOUR)
        assert [each.state for each in store.timeline("s", DAY).partitions] == ["expired"]

    def test_no_more_lanes_are_drawn_than_fit(self, store: RegistryStore, token: str) -> None:
        names = [f"p{number:02}" for number in range(LANES_AT_MOST + 1)]
        for number, name in enumerate(names):
            store.register_provider(name, token)
            publish(store, hours(number, number + 1), provider=name)
        drawn = store.timeline("s", hours(0, 40), 5)
        assert [each.provider_name for each in drawn.lanes] == names[:LANES_AT_MOST]
        assert drawn.has_more_lanes

    @pytest.mark.parametrize("seed", range(4))
    def test_a_coarse_timeline_says_what_a_close_look_would(self, store: RegistryStore, seed: int) -> None:
        _scatter(store, random.Random(seed))
        window = hours(-3.3, 90.7)
        every = store.list_partitions("s", window, limit=1000).items
        for resolution in (1, 7, 20, 33):
            drawn = store.timeline("s", window, resolution)
            assert drawn.lists_all is (len(every) <= resolution)
            _compare(store, drawn, every)

    def test_all_of_time_can_be_drawn(self, store: RegistryStore) -> None:
        publish(store, Interval("0001-01-01", "2026-01-01"), hours(1, 2), hours(3, 4))
        drawn = store.timeline("s", Interval("0001-01-01", "9999-12-31T23:59:59.999999Z"), 2)
        assert drawn.ready[0].interval.start == drawn.interval.start


def _scatter(store: RegistryStore, dice: random.Random) -> None:
    """Make partitions of both providers, of all lengths and in all states, many of them overlapping."""
    for _ in range(40):
        start = dice.uniform(0, 80)
        interval = hours(start, start + dice.choice([0.1, 1, 1, 1, 5, 24]))
        provider, fate = dice.choice("pq"), dice.random()
        if fate < 0.2:
            store.register_partition(PartitionKey("s", provider, interval))
        elif fate < 0.8:
            if _is_free(store, provider, interval):
                publish(store, interval, provider=provider)
        elif _is_free(store, provider, interval):
            store.lock(PartitionKey("s", provider, interval), register=True)
            if fate < 0.9:
                store.fail(PartitionKey("s", provider, interval), reason="x")


def _is_free(store: RegistryStore, provider: str, interval: Interval) -> bool:
    """Whether the provider may lock it: overlapping locks of one provider conflict."""
    found = store.list_partitions("s", interval, limit=1000).items
    return not any(each.provider_name == provider and each.state == "locked" for each in found)


def _compare(store: RegistryStore, drawn: Timeline, every: tuple[Partition, ...]) -> None:
    window = drawn.interval
    blockers = tuple(each for each in every if each.state in BLOCKING_STATES)
    for stretch in drawn.ready:
        if stretch.is_whole:
            assert store.check_readiness("s", stretch.interval).is_ready
        assert window.contains(stretch.interval)
    for outside in _complement(window, [each.interval for each in drawn.ready]):
        ready = store.timeline("s", outside, 1000).ready
        assert ready == (), f"{outside} is partly ready"
    if drawn.lists_all:
        assert drawn.partitions == every
        return
    assert drawn.partitions == (blockers if drawn.lists_blockers else ())
    for lane in drawn.lanes:
        for state in ("ready", "locked", "failed"):
            marks = [each.interval for each in lane.marks if each.state == state]
            mine = [
                each for each in every if each.provider_name == lane.provider_name and each.state == state
            ]
            if state == "ready" or not drawn.lists_blockers:
                assert all(any(mark.overlaps(each.interval) for mark in marks) for each in mine)
            assert all(any(mark.overlaps(each.interval) for each in mine) for mark in marks)


def _complement(window: Interval, parts: list[Interval]) -> list[Interval]:
    edges = [window.start, *[edge for each in parts for edge in (each.start, each.end)], window.end]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Interval(start, end) for start, end in pairs if start < end]
