"""Partitions that overlap an interval are found as if all were looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.intervals import EARLIEST, LATEST, Interval
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.domain.overlapping import Overlapping

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

instants = st.one_of(
    st.integers(0, 30).map(lambda hour: NOON + timedelta(hours=hour)), st.sampled_from([EARLIEST, LATEST])
)
intervals = (
    st.lists(instants, min_size=2, max_size=2, unique=True).map(sorted).map(lambda ends: Interval(*ends))
)


def partition(interval: Interval) -> Partition:
    return Partition("s", "p", interval, PartitionState.LOCKED, 1, NOON, NOON)


@given(st.lists(intervals.map(partition), max_size=12), intervals)
def test_those_that_overlap_are_found(partitions: list[Partition], interval: Interval) -> None:
    expected = [each for each in partitions if each.interval.overlaps(interval)]
    found = Overlapping(partitions).find(interval)
    assert sorted(found, key=lambda each: each.interval) == sorted(expected, key=lambda each: each.interval)


def test_there_may_be_none() -> None:
    assert Overlapping([]).find(Interval(EARLIEST, LATEST)) == []
