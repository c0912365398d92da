"""Intervals as seen from others: over changes of the clock, ends of months and leap years."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidIntervalError
from airflow_provider_partition_registry.domain.grains import first_instant, zone_named
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.spans import Span, Step, first_at

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
# Cairo's clocks jump over midnight, those of Lord Howe Island by half an hour.
ZONES = ["UTC", BERLIN, NEW_YORK, "Asia/Kolkata", "Africa/Cairo", "Australia/Lord_Howe", "America/St_Johns"]

zones = st.sampled_from(ZONES)
days = st.dates(date(2005, 1, 1), date(2040, 1, 1))


def moved(count: int, unit: str) -> Span:
    return Span(moved=Step(count, unit))


def last(count: int, unit: str) -> Span:
    return Span(last=Step(count, unit))


def local(start: str, end: str, zone: str) -> Interval:
    """An interval between two times on the clocks of a zone."""
    return Interval(*(datetime.fromisoformat(each).replace(tzinfo=ZoneInfo(zone)) for each in (start, end)))


@pytest.mark.parametrize(
    ("span", "zone", "start", "end", "seen_start", "seen_end"),
    [
        # The day before, of 24, 23 and 25 hours.
        (moved(-1, "day"), "UTC", "2026-03-01", "2026-03-02", "2026-02-28", "2026-03-01"),
        (moved(-1, "day"), BERLIN, "2026-03-29", "2026-03-30", "2026-03-28", "2026-03-29"),
        (moved(-1, "day"), BERLIN, "2026-03-30", "2026-03-31", "2026-03-29", "2026-03-30"),
        (moved(-1, "day"), NEW_YORK, "2026-11-02", "2026-11-03", "2026-11-01", "2026-11-02"),
        (moved(1, "day"), BERLIN, "2026-10-24", "2026-10-25", "2026-10-25", "2026-10-26"),
        (moved(-1, "week"), BERLIN, "2026-03-30", "2026-04-06", "2026-03-23", "2026-03-30"),
        # Midnight does not exist on 2026-04-24 in Cairo: the day begins at 01:00.
        (moved(-1, "day"), "Africa/Cairo", "2026-04-25", "2026-04-26", "2026-04-24T01:00", "2026-04-25"),
        (moved(-1, "day"), "Africa/Cairo", "2026-04-24T01:00", "2026-04-25", "2026-04-23", "2026-04-24T01:00"),
        # Whole months remain whole months.
        (moved(-1, "month"), "UTC", "2026-03-01", "2026-04-01", "2026-02-01", "2026-03-01"),
        (moved(-1, "month"), "UTC", "2026-02-01", "2026-03-01", "2026-01-01", "2026-02-01"),
        (moved(-1, "year"), BERLIN, "2026-02-01", "2026-03-01", "2025-02-01", "2025-03-01"),
        (moved(-1, "year"), "UTC", "2025-02-01", "2025-03-01", "2024-02-01", "2024-03-01"),
        (moved(-3, "month"), BERLIN, "2026-01-01", "2026-04-01", "2025-10-01", "2026-01-01"),
        (moved(-1, "year"), "UTC", "2025-01-01", "2026-01-01", "2024-01-01", "2025-01-01"),
        # A day that a month does not have is its last day; a day remains a day.
        (moved(-1, "month"), "UTC", "2026-03-31", "2026-04-01", "2026-02-28", "2026-03-01"),
        (moved(-1, "month"), "UTC", "2026-03-30", "2026-03-31", "2026-02-28", "2026-03-01"),
        (moved(-1, "month"), "UTC", "2026-03-28", "2026-03-29", "2026-02-28", "2026-03-01"),
        (moved(-1, "month"), "UTC", "2026-02-28", "2026-03-01", "2026-01-28", "2026-01-29"),
        (moved(-1, "year"), "UTC", "2028-02-29", "2028-03-01", "2027-02-28", "2027-03-01"),
        (moved(-1, "year"), "UTC", "2029-02-28", "2029-03-01", "2028-02-28", "2028-02-29"),
        (moved(-4, "year"), "UTC", "2028-02-29", "2028-03-01", "2024-02-29", "2024-03-01"),
        # Parts of days keep their times on the clock.
        (moved(-1, "day"), BERLIN, "2026-03-29T18:00", "2026-03-30T06:00", "2026-03-28T18:00", "2026-03-29T06:00"),
        (moved(-1, "month"), "UTC", "2026-03-31T23:00", "2026-04-01", "2026-02-28T23:00", "2026-03-01"),
        (moved(-1, "month"), "UTC", "2026-03-29T18:00", "2026-03-30T06:00", "2026-02-28T18:00", "2026-03-01T06:00"),
        (moved(-1, "day"), BERLIN, "2026-03-30T02:00", "2026-03-30T03:00", "2026-03-29T03:00", "2026-03-29T04:00"),
        (moved(-2, "hour"), "UTC", "2026-03-01T01:00", "2026-03-01T02:00", "2026-02-28T23:00", "2026-03-01"),
        (moved(-3, "hour"), BERLIN, "2026-03-29T04:00", "2026-03-29T05:00", "2026-03-29T00:00", "2026-03-29T01:00"),
        # The last days and months, up to the end.
        (last(7, "day"), BERLIN, "2026-03-30", "2026-03-31", "2026-03-24", "2026-03-31"),
        (last(1, "week"), BERLIN, "2026-03-30", "2026-03-31", "2026-03-24", "2026-03-31"),
        (last(1, "month"), "UTC", "2026-02-28", "2026-03-01", "2026-02-01", "2026-03-01"),
        (last(12, "month"), "UTC", "2028-02-01", "2028-03-01", "2027-03-01", "2028-03-01"),
        (last(6, "hour"), BERLIN, "2026-03-29", "2026-03-30", "2026-03-29T18:00", "2026-03-30"),
        # The whole month, the same month of last year, the seven days before this one.
        (Span("month"), BERLIN, "2026-03-29", "2026-03-30", "2026-03-01", "2026-04-01"),
        (Span("month", Step(-1, "year")), BERLIN, "2028-02-29", "2028-03-01", "2027-02-01", "2027-03-01"),
        (Span("day"), "UTC", "2026-03-29T05:00", "2026-03-29T06:00", "2026-03-29", "2026-03-30"),
        (Span(None, Step(-1, "day"), Step(7, "day")), "UTC", "2026-03-08", "2026-03-09", "2026-03-01", "2026-03-08"),
    ],
)  # fmt: skip
def test_spans(span: Span, zone: str, start: str, end: str, seen_start: str, seen_end: str) -> None:
    assert span.seen_from(local(start, end, zone), zone) == local(seen_start, seen_end, zone)


def quarters(start: date, end: date, zone: str) -> Iterator[datetime]:
    """Every quarter of an hour from some days before until some days after."""
    quarter = datetime(start.year, start.month, start.day, tzinfo=UTC) - timedelta(days=3)
    until = datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=3)
    while quarter < until:
        yield quarter
        quarter += timedelta(minutes=15)


def assert_holds(found: Interval, zone: str, first: date, end: date, belongs: Callable[[date], bool]) -> None:
    """Whether exactly those quarters of an hour are in the interval that belong there by their date on the clock."""
    for quarter in quarters(first, end, zone):
        is_inside = found.start <= quarter < found.end
        assert is_inside == belongs(quarter.astimezone(ZoneInfo(zone)).date()), quarter


def whole_days(first: date, count: int, zone: str) -> Interval:
    its_zone = zone_named(zone)
    return Interval(first_instant(first, its_zone), first_instant(first + timedelta(days=count), its_zone))


@given(days, st.integers(1, 3), st.integers(-40, 40), st.sampled_from(["day", "week"]), zones)
def test_whole_days_remain_the_whole_days_that_many_days_away(
    first: date, count: int, way: int, unit: str, zone: str
) -> None:
    found = moved(way, unit).seen_from(whole_days(first, count, zone), zone)
    start = first + way * timedelta(days=7 if unit == "week" else 1)
    end = start + timedelta(days=count)
    assert_holds(found, zone, start, end, lambda day: start <= day < end)


@given(st.integers(24_000, 24_480), st.integers(1, 3), st.integers(-30, 30), zones)
def test_whole_months_remain_the_whole_months_that_many_months_away(
    month: int, count: int, way: int, zone: str
) -> None:
    def first_of(number: int) -> date:
        return date(number // 12, number % 12 + 1, 1)

    its_zone = zone_named(zone)
    whole = Interval(
        first_instant(first_of(month), its_zone), first_instant(first_of(month + count), its_zone)
    )
    found = moved(way, "month").seen_from(whole, zone)
    start, end = first_of(month + way), first_of(month + way + count)
    assert_holds(found, zone, start, end, lambda day: start <= day < end)
    if way % 12 == 0:
        assert found == moved(way // 12, "year").seen_from(whole, zone)


@given(days, st.integers(-30, 30), zones)
def test_a_day_is_the_same_day_of_another_month_or_the_last_that_it_has(
    day: date, way: int, zone: str
) -> None:
    found = moved(way, "month").seen_from(whole_days(day, 1, zone), zone)
    year, month = divmod(day.year * 12 + day.month - 1 + way, 12)
    of_month = [
        each
        for number in range(1, 32)
        if (each := date(year, month + 1, 1) + timedelta(days=number - 1)).month == month + 1
    ]
    expected = of_month[min(day.day, len(of_month)) - 1]
    assert_holds(found, zone, expected, expected, lambda each: each == expected)


@given(days, st.integers(1, 40), zones)
def test_the_last_days_end_with_the_interval(day: date, count: int, zone: str) -> None:
    whole = whole_days(day, 1, zone)
    found = last(count, "day").seen_from(whole, zone)
    start = day - timedelta(days=count - 1)
    assert found.end == whole.end
    assert_holds(found, zone, start, day, lambda each: start <= each <= day)


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(microseconds=1), timedelta(days=70)),
    st.sampled_from(["hour", "day", "week", "month", "year"]),
    st.integers(-100, 100),
    zones,
)
def test_there_is_always_an_interval(
    start: datetime, length: timedelta, unit: str, way: int, zone: str
) -> None:
    interval = Interval(start, start + length)
    there = moved(way, unit).seen_from(interval, zone)
    assert there.start < there.end
    if unit == "hour" or (zone == "UTC" and unit in ("day", "week")):
        assert moved(-way, unit).seen_from(there, zone) == interval


@pytest.mark.parametrize(
    "span",
    [
        moved(-3_000, "year"),
        moved(999_999, "week"),
        moved(999_999, "year"),
        moved(-999_999, "hour"),
        last(99_999, "month"),
    ],
)
def test_beyond_the_calendar(span: Span) -> None:
    with pytest.raises(InvalidIntervalError, match="years 1 to 9999"):
        span.seen_from(Interval("0009-01-01", "0009-01-02"), "UTC")


def test_unknown_zone() -> None:
    with pytest.raises(InvalidInputError, match="Mars/Olympus"):
        moved(-1, "day").seen_from(Interval("2026-01-01", "2026-01-02"), "Mars/Olympus")


@pytest.mark.parametrize(
    ("clock", "instant", "zone", "expected"),
    [
        ("08:00", "2026-11-02T00:00:00Z", "UTC", "2026-11-02T08:00:00Z"),
        ("08:00", "2026-11-02T08:00:00Z", "UTC", "2026-11-02T08:00:00Z"),
        ("08:00", "2026-11-02T08:00:01Z", "UTC", "2026-11-03T08:00:00Z"),
        ("00:00", "2026-11-02T00:00:00Z", "UTC", "2026-11-02T00:00:00Z"),
        ("08:00", "2026-11-01T23:00:00Z", BERLIN, "2026-11-02T07:00:00Z"),
        ("08:00", "2026-03-28T23:00:00Z", BERLIN, "2026-03-29T06:00:00Z"),
        ("02:30", "2026-03-28T23:00:00Z", BERLIN, "2026-03-29T01:30:00Z"),
        ("02:30", "2026-10-24T22:00:00Z", BERLIN, "2026-10-25T00:30:00Z"),
    ],
)
def test_the_first_time_of_day_after_an_instant(clock: str, instant: str, zone: str, expected: str) -> None:
    found = first_at(time.fromisoformat(clock), datetime.fromisoformat(instant), zone)
    assert found == datetime.fromisoformat(expected)


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.times(),
    zones,
)
def test_a_time_of_day_comes_within_a_day_and_some_hours(instant: datetime, clock: time, zone: str) -> None:
    found = first_at(clock, instant, zone)
    assert timedelta(0) <= found - instant < timedelta(hours=26)


def test_no_time_of_day_after_the_last_year() -> None:
    with pytest.raises(InvalidIntervalError, match="year 9999"):
        first_at(time(8), datetime(9999, 12, 31, 23, tzinfo=UTC), "UTC")
