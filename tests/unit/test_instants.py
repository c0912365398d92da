"""The values that are accepted as an instant."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.errors import InvalidIntervalError
from airflow_provider_partition_registry.domain.grains import interval_at
from airflow_provider_partition_registry.domain.intervals import format_instant, to_instant

MOMENT = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
zones = st.one_of(
    st.just(UTC),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]).map(ZoneInfo),
)
# Two days in from each end of time, so that every zone's clock can show it.
_first, _last = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001
moments = st.datetimes(_first, _last, timezones=zones, allow_imaginary=False)


@given(moments)
def test_every_aware_datetime_keeps_its_moment(moment: datetime) -> None:
    instant = to_instant(moment)
    assert instant == moment.astimezone(UTC)
    assert type(instant) is datetime
    assert instant.tzinfo is UTC


@given(
    moments, st.sampled_from([str, datetime.isoformat, lambda moment: moment.isoformat(" ", "microseconds")])
)
def test_every_text_that_datetime_prints_is_read_back(moment: datetime, written) -> None:
    assert to_instant(written(moment)) == to_instant(moment)


@given(moments)
def test_our_own_text_is_read_back(moment: datetime) -> None:
    assert to_instant(format_instant(to_instant(moment))) == to_instant(moment)


@given(st.datetimes())
def test_a_naive_datetime_is_utc(naive: datetime) -> None:
    assert to_instant(naive) == to_instant(str(naive)) == naive.replace(tzinfo=UTC)


@given(st.dates())
def test_a_date_is_its_midnight_in_utc(day: date) -> None:
    assert to_instant(day) == to_instant(str(day)) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(st.text())
def test_other_text_is_refused_in_our_own_words(text: str) -> None:
    with contextlib.suppress(InvalidIntervalError):
        assert to_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("given_text", "moment"),
    [
        ("2026-11-01T12:30:00Z", MOMENT),
        ("2026-11-01T12:30:00+00:00", MOMENT),
        ("2026-11-01 12:30:00+00:00", MOMENT),
        ("2026-11-01T12:30", MOMENT),
        ("  2026-11-01T12:30:00Z\n", MOMENT),
        ("2026-11-01T14:30:00+02:00", MOMENT),
        ("2026-11-01T18:00:00.000000+05:30", MOMENT),
        ("2026-11-01", MIDNIGHT),
        ("20261101", MIDNIGHT),
        ("2026-11-01T00:00:00.5", MIDNIGHT + timedelta(milliseconds=500)),
        ("2026-11-01T00:00:00.000001Z", MIDNIGHT + timedelta(microseconds=1)),
    ],
)
def test_text(given_text: str, moment: datetime) -> None:
    assert to_instant(given_text) == moment


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            " ",
            "now",
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "2026-11-01T25:00",
            "2026-11-01T00:00:00+99:00",
        ],
        *[
            "1793536200",
            "2026-11-01/2026-11-02",
            "{{ ds }}",
            "2026-11-01\x00",
            "2026-11-01T00:00:00\x00",
            "\ud800",
            "x" * 100_000,
        ],
        *[None, 0, 1793536200, 1.5, b"2026-11-01", [], ("2026", 11), int, timedelta(1), MOMENT.time()],
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_invalid_values_are_refused(value) -> None:
    with pytest.raises(InvalidIntervalError) as caught:
        to_instant(value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "given_text",
    [
        *["0001-01-01T00:00:00Z", "0001-01-01T01:00:00+01:00", "0001-01-01"],
        *["9999-12-31T23:59:59.999999Z", "9999-12-31T22:59:59-01:00"],
    ],
)
def test_the_ends_of_time(given_text: str) -> None:
    assert to_instant(given_text).year in (1, 9999)


@pytest.mark.parametrize("beyond", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_beyond_the_ends_of_time(beyond: str) -> None:
    for value in (beyond, datetime.fromisoformat(beyond)):
        with pytest.raises(InvalidIntervalError, match="outside the years 1 to 9999"):
            to_instant(value)


def test_pendulum_becomes_plain() -> None:
    moment = pendulum.datetime(2026, 11, 1, 14, 30, tz="Africa/Cairo")
    assert to_instant(moment) == to_instant(str(moment)) == MOMENT
    assert type(to_instant(moment)) is type(to_instant(pendulum.instance(MOMENT))) is datetime
    assert to_instant(pendulum.date(2026, 11, 1)) == MIDNIGHT
    assert to_instant(pendulum.naive(2026, 11, 1, 12, 30)) == MOMENT


@pytest.mark.parametrize(("fold", "hour"), [(0, 0), (1, 1)])
def test_the_hour_that_happens_twice(fold: int, hour: int) -> None:
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)
    assert to_instant(twice) == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    assert to_instant(twice).fold == 0


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sets this machine's time zone to Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_the_machines_time_zone_does_not_matter() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert format_instant(noon) == "2026-03-01T12:00:00Z"
    assert interval_at(noon, "day").start.utcoffset() == timedelta(0)
    assert str(interval_at(noon, "day")) == "[2026-03-01T00:00:00Z, 2026-03-02T00:00:00Z)"
