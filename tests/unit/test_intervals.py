"""Intervals and their algebra, compared with sets of minutes."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.errors import InvalidIntervalError
from airflow_provider_partition_registry.domain.intervals import (
    Interval,
    check_interval,
    clip,
    difference,
    format_instant,
    union,
)

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def minutes(start: int, end: int) -> Interval:
    return Interval(MIDNIGHT + timedelta(minutes=start), MIDNIGHT + timedelta(minutes=end))


def as_set(*intervals: Interval) -> set[int]:
    """The minutes that the intervals contain."""
    held: set[int] = set()
    for interval in intervals:
        held |= set(range(_minute(interval.start), _minute(interval.end)))
    return held


def _minute(instant: datetime) -> int:
    return (instant - MIDNIGHT) // timedelta(minutes=1)


def is_canonical(intervals: tuple[Interval, ...]) -> bool:
    """In order, disjoint, not touching: the fewest intervals possible."""
    return all(one.end < next_one.start for one, next_one in pairwise(intervals))


some = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda drawn: minutes(drawn[0], sum(drawn)))
lists = st.lists(some, max_size=8)


@given(lists)
def test_union_holds_the_same_minutes_in_the_fewest_intervals(intervals: list[Interval]) -> None:
    joined = union(intervals)
    assert as_set(*joined) == as_set(*intervals)
    assert is_canonical(joined)


@given(lists, st.randoms())
def test_union_does_not_depend_on_the_order(intervals: list[Interval], random) -> None:
    shuffled = intervals.copy()
    random.shuffle(shuffled)
    assert union(shuffled) == union(intervals) == union(union(intervals))


@given(lists, lists)
def test_difference_holds_what_is_left(intervals: list[Interval], removed: list[Interval]) -> None:
    rest = difference(intervals, removed)
    assert as_set(*rest) == as_set(*intervals) - as_set(*removed)
    assert all(one.end <= next_one.start for one, next_one in pairwise(rest))


@given(lists, some)
def test_difference_from_one_is_canonical(removed: list[Interval], interval: Interval) -> None:
    assert is_canonical(difference([interval], removed))


@given(lists, some)
def test_clip_keeps_what_is_inside(intervals: list[Interval], within: Interval) -> None:
    assert as_set(*clip(intervals, within)) == as_set(*intervals) & as_set(within)


@given(some, some)
def test_two_intervals(one: Interval, other: Interval) -> None:
    shared = as_set(one) & as_set(other)
    assert one.overlaps(other) is other.overlaps(one) is bool(shared)
    assert one.contains(other) is (as_set(other) <= as_set(one))
    common = one.intersection(other)
    assert (as_set(common) if common else set()) == shared


@given(st.lists(some, min_size=1), st.integers(0, 80))
def test_difference_gives_back_what_was_split(intervals: list[Interval], at: int) -> None:
    for interval in intervals:
        inside = MIDNIGHT + timedelta(minutes=at)
        if interval.start < inside < interval.end:
            parts = [Interval(interval.start, inside), Interval(inside, interval.end)]
            assert union(parts) == (interval,)
            assert difference([interval], parts) == ()


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ((0, 10), (10, 20), False),
        ((0, 10), (9, 20), True),
        ((0, 10), (0, 10), True),
        ((0, 10), (3, 4), True),
        ((0, 10), (11, 12), False),
    ],
)
def test_touching_is_not_overlapping(one, other, overlap) -> None:
    assert minutes(*one).overlaps(minutes(*other)) is overlap


def test_difference_of_touching_intervals_joins_them() -> None:
    assert difference([minutes(0, 5), minutes(5, 9)], []) == (minutes(0, 9),)


@pytest.mark.parametrize(("start", "end"), [("2026-01-02", "2026-01-01"), ("2026-01-01", "2026-01-01")])
def test_an_interval_is_never_empty(start: str, end: str) -> None:
    with pytest.raises(InvalidIntervalError, match="is empty"):
        Interval(start, end)


def test_a_microsecond_is_the_shortest_interval() -> None:
    assert Interval("2026-01-01T00:00:00", "2026-01-01T00:00:00.000001").start == MIDNIGHT


def test_equal_instants_in_other_zones_make_equal_intervals() -> None:
    paris = timezone(timedelta(hours=1))
    local = Interval(datetime(2026, 1, 1, 1, tzinfo=paris), datetime(2026, 1, 1, 2, tzinfo=paris))
    assert local == minutes(0, 60)
    assert hash(local) == hash(minutes(0, 60))
    assert local.start.tzinfo is UTC


def test_intervals_sort_by_start_then_end() -> None:
    assert sorted([minutes(1, 3), minutes(0, 9), minutes(1, 2)]) == [
        minutes(0, 9),
        minutes(1, 2),
        minutes(1, 3),
    ]


def test_intervals_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        minutes(0, 1).start = MIDNIGHT


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_intervals_survive_copying(copied) -> None:
    assert copied(minutes(0, 1)) == minutes(0, 1)


def test_intervals_are_written_half_open_in_utc() -> None:
    assert str(minutes(0, 90)) == "[2026-01-01T00:00:00Z, 2026-01-01T01:30:00Z)"
    assert (
        format_instant(datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))) == "2026-01-01T00:00:00Z"
    )


@pytest.mark.parametrize("value", [None, "2026-01-01", MIDNIGHT, (MIDNIGHT, MIDNIGHT)])
def test_anything_but_an_interval_is_refused(value) -> None:
    assert check_interval(minutes(0, 1)) == minutes(0, 1)
    with pytest.raises(InvalidIntervalError):
        check_interval(value)
