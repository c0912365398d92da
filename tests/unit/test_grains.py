"""The regular intervals that a date can stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidIntervalError
from airflow_provider_partition_registry.domain.grains import GRAINS, Grain, interval_at, split_interval
from airflow_provider_partition_registry.domain.intervals import Interval

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
moments = st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("moment", "grain", "zone", "start", "end"),
    [
        ("2026-11-04T10:59:59.999999Z", "hour", "UTC", "2026-11-04T10:00", "2026-11-04T11:00"),
        ("2026-11-04T11:00:00Z", "hour", "UTC", "2026-11-04T11:00", "2026-11-04T12:00"),
        ("2026-11-04T10:59Z", "hour", "Asia/Kolkata", "2026-11-04T10:30", "2026-11-04T11:30"),
        ("2026-11-04", "day", "UTC", "2026-11-04", "2026-11-05"),
        ("2026-11-04T23:30Z", "day", BERLIN, "2026-11-04T23:00", "2026-11-05T23:00"),
        ("2026-11-04", "week", "UTC", "2026-11-02", "2026-11-09"),
        ("2026-11-01", "week", "UTC", "2026-10-26", "2026-11-02"),
        ("2026-12-31", "month", "UTC", "2026-12-01", "2027-01-01"),
        ("2028-02-29", "month", "UTC", "2028-02-01", "2028-03-01"),
        ("2026-03-29T12:00Z", "day", BERLIN, "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T12:00Z", "day", BERLIN, "2026-10-24T22:00", "2026-10-25T23:00"),
        ("2026-03-08T12:00Z", "day", NEW_YORK, "2026-03-08T05:00", "2026-03-09T04:00"),
        ("2026-11-01T12:00Z", "day", NEW_YORK, "2026-11-01T04:00", "2026-11-02T05:00"),
        ("2026-10-25T00:30Z", "hour", BERLIN, "2026-10-25T00:00", "2026-10-25T01:00"),
        ("2026-10-25T01:30Z", "hour", BERLIN, "2026-10-25T01:00", "2026-10-25T02:00"),
        ("2026-11-01T05:30Z", "hour", NEW_YORK, "2026-11-01T05:00", "2026-11-01T06:00"),
        ("2026-11-01T06:30Z", "hour", NEW_YORK, "2026-11-01T06:00", "2026-11-01T07:00"),
        ("2026-03-29T01:30Z", "hour", BERLIN, "2026-03-29T01:00", "2026-03-29T02:00"),
        ("2026-03-25", "week", BERLIN, "2026-03-22T23:00", "2026-03-29T22:00"),
        ("2026-10-15", "month", BERLIN, "2026-09-30T22:00", "2026-10-31T23:00"),
        ("2026-11-04T10:20Z", timedelta(minutes=15), "UTC", "2026-11-04T10:15", "2026-11-04T10:30"),
        ("1969-12-31T23:59Z", timedelta(hours=1), "UTC", "1969-12-31T23:00", "1970-01-01T00:00"),
        ("1970-01-08T12:00Z", timedelta(days=7), "UTC", "1970-01-08", "1970-01-15"),
    ],
)
def test_grains(moment, grain, zone, start, end) -> None:
    assert interval_at(moment, grain, zone) == Interval(start, end)


@given(
    moments,
    st.sampled_from(GRAINS),
    st.sampled_from(["UTC", BERLIN, NEW_YORK, "Asia/Kolkata", "Africa/Cairo"]),
)
def test_grains_tile_time(moment: datetime, grain: str, zone: str) -> None:
    interval = interval_at(moment, grain, zone)
    assert interval.start <= moment < interval.end
    last = interval.end - timedelta(microseconds=1)
    assert interval_at(interval.start, grain, zone) == interval_at(last, grain, zone) == interval
    assert interval_at(interval.end, grain, zone).start == interval.end


@pytest.mark.parametrize("grain", GRAINS)
@pytest.mark.parametrize(
    ("zone", "day_before"),
    [
        *[(BERLIN, "2026-03-28"), (BERLIN, "2026-10-24"), (NEW_YORK, "2026-03-07"), (NEW_YORK, "2026-10-31")],
        *[
            ("Africa/Cairo", "2026-04-23"),
            ("Africa/Cairo", "2026-10-29"),
        ],  # the clock changes at midnight: forward, and back to the day before
        *[
            ("America/Havana", "2026-03-07"),
            ("America/Havana", "2026-10-31"),
        ],  # midnight is skipped, or occurs twice
        ("Pacific/Apia", "2011-12-29"),  # 30 December did not exist there
    ],
)
def test_grains_tile_the_days_on_which_clocks_change(grain: str, zone: str, day_before: str) -> None:
    start = datetime.fromisoformat(day_before).replace(tzinfo=UTC)
    for quarter in range(4 * 72):
        moment = start + timedelta(minutes=15 * quarter)
        interval = interval_at(moment, grain, zone)
        assert interval.start <= moment < interval.end
        assert interval_at(interval.end, grain, zone).start == interval.end


@given(moments, st.timedeltas(timedelta(microseconds=1), timedelta(days=400)))
def test_counted_grains_tile_time(moment: datetime, length: timedelta) -> None:
    interval = interval_at(moment, length)
    assert interval.start <= moment < interval.end
    assert interval.end - interval.start == length
    assert interval_at(interval.end, length).start == interval.end


@pytest.mark.parametrize(
    ("interval", "grain", "zone", "count"),
    [
        (Interval("2026-11-01", "2026-11-02"), "hour", "UTC", 24),
        (Interval("2026-10-24T22:00", "2026-10-25T23:00"), "hour", BERLIN, 25),
        (Interval("2026-09-30T22:00", "2026-10-31T23:00"), "day", BERLIN, 31),
        (Interval("2026-01-01", "2027-01-01"), "month", "UTC", 12),
        (Interval("2026-11-01", "2026-11-02"), timedelta(minutes=5), "UTC", 288),
    ],
)
def test_an_interval_is_split_into_what_tiles_it(
    interval: Interval, grain: Grain, zone: str, count: int
) -> None:
    pieces = split_interval(interval, grain, zone, at_most=288)
    assert len(pieces) == count
    assert (pieces[0].start, pieces[-1].end) == (interval.start, interval.end)
    assert all(one.end == other.start for one, other in pairwise(pieces))
    assert all(each == interval_at(each.start, grain, zone) for each in pieces)


@pytest.mark.parametrize(
    ("interval", "grain", "zone"),
    [
        (Interval("2026-11-01T00:30", "2026-11-02"), "hour", "UTC"),
        (Interval("2026-11-01", "2026-11-02T00:30"), "hour", "UTC"),
        (Interval("2026-11-01", "2026-11-02"), "week", "UTC"),
        (Interval("2026-11-01", "2026-12-01"), "day", BERLIN),
        (Interval("9999-12-31", "9999-12-31T23:59:59.999999"), "day", "UTC"),
    ],
)
def test_what_a_grain_does_not_tile_is_refused(interval: Interval, grain: Grain, zone: str) -> None:
    with pytest.raises(InvalidIntervalError):
        split_interval(interval, grain, zone, at_most=1_000)


def test_too_many_pieces_are_refused_before_they_are_made() -> None:
    with pytest.raises(InvalidInputError, match="consists of more than 10 intervals"):
        split_interval(Interval("0001-01-01", "9999-12-31"), timedelta(microseconds=1), at_most=10)


def test_a_day_starts_at_the_local_midnight() -> None:
    day = interval_at(datetime(2026, 7, 1, 12, tzinfo=ZoneInfo(BERLIN)), "day", BERLIN)
    assert day.start.astimezone(ZoneInfo(BERLIN)).hour == 0


@pytest.mark.parametrize("grain", ["", "days", "minute", "year", None, 3600, timedelta(0), timedelta(-1)])
def test_unknown_grains(grain) -> None:
    with pytest.raises(InvalidInputError, match="grain"):
        interval_at("2026-11-01", grain)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe/berlin ", None, 5])
def test_unknown_zones(zone) -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        interval_at("2026-11-01", "day", zone)


@pytest.mark.parametrize("moment", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("grain", [*GRAINS, timedelta(days=10_000)])
@pytest.mark.parametrize("zone", ["UTC", BERLIN, NEW_YORK])
def test_the_ends_of_time_give_an_interval_or_our_own_error(moment, grain, zone) -> None:
    try:
        interval = interval_at(moment, grain, zone)
    except (InvalidIntervalError, InvalidInputError):
        return
    assert interval.start <= datetime.fromisoformat(moment).replace(tzinfo=UTC) < interval.end
