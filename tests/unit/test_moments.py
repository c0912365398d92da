"""Instants and lengths of time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.moments import read_duration, read_moment

NOW = datetime(2026, 11, 2, 23, 45, 30, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "timezone", "instant"),
    [
        ("now", "UTC", "2026-11-02T23:45:30.000007Z"),
        ("today", "UTC", "2026-11-02T00:00:00Z"),
        (" Yesterday ", "UTC", "2026-11-01T00:00:00Z"),
        ("tomorrow", "UTC", "2026-11-03T00:00:00Z"),
        ("-1d", "UTC", "2026-11-01T00:00:00Z"),
        ("+0d", "UTC", "2026-11-02T00:00:00Z"),
        ("-2h", "UTC", "2026-11-02T21:00:00Z"),
        ("+1h", "UTC", "2026-11-03T00:00:00Z"),
        ("-30m", "UTC", "2026-11-02T23:15:00Z"),
        ("2026-11-01", "UTC", "2026-11-01T00:00:00Z"),
        ("2026-11-01 12:30", "UTC", "2026-11-01T12:30:00Z"),
        ("now", "Europe/Berlin", "2026-11-02T23:45:30.000007Z"),
        ("today", "Europe/Berlin", "2026-11-02T23:00:00Z"),  # It is already the 3rd there.
        ("-1d", "Europe/Berlin", "2026-11-01T23:00:00Z"),
        ("-9d", "Europe/Berlin", "2026-10-24T22:00:00Z"),  # a day of 25 hours lies between
        ("-1h", "Asia/Kolkata", "2026-11-02T22:30:00Z"),
        ("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00Z"),
        ("2026-07-01T12:00Z", "Europe/Berlin", "2026-07-01T12:00:00Z"),
    ],
)
def test_moments(text: str, timezone: str, instant: str):
    assert format_instant(read_moment(text, now=NOW, timezone=timezone)) == instant


@pytest.mark.parametrize(
    "text", ["", "soon", "1d", "-d", "-1w", "-1.5h", "- 1d", "-٣d", "2026-13-01", "-9999999d"]
)
def test_invalid_moments_are_refused(text: str):
    with pytest.raises(InvalidInputError):
        read_moment(text, now=NOW)


def test_a_refusal_says_what_is_valid():
    with pytest.raises(
        InvalidInputError, match=r"'soon' is not an instant: .*2026-11-01; or .*yesterday.*-2h"
    ):
        read_moment("soon", now=NOW)


def test_unknown_time_zones_are_refused():
    with pytest.raises(InvalidInputError, match="Mars"):
        read_moment("today", now=NOW, timezone="Mars/Olympus")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), (" 15m ", 900), ("2h", 7200), ("400d", 34_560_000), ("1d2h3m4s", 93_784), ("1h30m", 5400)],
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *[(text, "not a duration") for text in ("", "d", "1", "1w", "-1d", "1 d", "1m1h", "1.5h")],
        *[("0s", "empty"), ("0d0h", "empty"), ("999999999d24h", "too long")],
    ],
)
def test_what_is_no_length_of_time(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read_duration(text)
