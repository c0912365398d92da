"""What is read from the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from airflow_provider_partition_registry.cli.options import DurationType, InstantType


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1h30m", timedelta(minutes=90)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (" 15m ", timedelta(minutes=15)),
        (timedelta(1), timedelta(1)),
    ],
)
def test_durations(text: str, duration: timedelta):
    assert DurationType().convert(text, None, None) == duration


@pytest.mark.parametrize(
    "text",
    ["", "15", "m", "-1m", "1.5h", "1m1h", "15 m", "1w", "0s", "٣m", "999999999d24h", "9" * 5000 + "s"],
)
def test_no_durations(text: str):
    with pytest.raises(click.BadParameter):
        DurationType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30:00Z", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01 12:30+03:00", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
    ],
)
def test_instants(text: str, instant: datetime):
    assert InstantType().convert(text, None, None) == instant


@pytest.mark.parametrize("text", ["", "today", "2026-13-01", "0001-01-01T00:00+01:00"])
def test_no_instants(text: str):
    with pytest.raises(click.BadParameter):
        InstantType().convert(text, None, None)
