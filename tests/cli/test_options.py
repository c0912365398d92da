"""How options and arguments of the command line are read."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import click
import pytest

from airflow_provider_partition_registry.cli.instants import GRAINS, DurationType, InstantType
from airflow_provider_partition_registry.domain import grains
from airflow_provider_partition_registry.domain.intervals import to_instant
from tests.cli.conftest import Command


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
def test_invalid_durations_are_refused(text: str):
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


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "0001-01-01T00:00+01:00"])
def test_invalid_instants_are_refused(text: str):
    with pytest.raises(click.BadParameter):
        InstantType().convert(text, None, None)


@pytest.mark.parametrize(
    ("arguments", "interval"),
    [
        (("--start", "2026-11-02", "--end", "2026-11-03"), ("2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z")),
        (("--start", "2026-11-04", "--grain", "week"), ("2026-11-02T00:00:00Z", "2026-11-09T00:00:00Z")),
        (
            ("--start", "2026-10-25", "--grain", "day", "--timezone", "Europe/Berlin"),
            ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ),
        (
            ("--timezone", "America/New_York", "--end", "2026-11-03T00:00Z", "--start", "2026-11-02"),
            ("2026-11-02T05:00:00Z", "2026-11-03T00:00:00Z"),
        ),
        (
            ("--start", "2026-10-25T02:30", "--end", "2026-10-25T02:30+01:00", "--timezone", "Europe/Berlin"),
            ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ),
    ],
)
def test_intervals(nightly: Command, arguments: tuple[str, ...], interval: tuple[str, str]):
    asked = nightly("ready", "sales", *arguments, "--json").json["question"]["interval"]
    assert (asked["start"], asked["end"]) == interval


def test_offsets_are_no_options_to_click(nightly: Command):
    asked = nightly("ready", "sales", "--start", "-1d", "--end", "+1d", "--json").json["question"]["interval"]
    start, end = map(to_instant, asked.values())
    assert end - start == timedelta(days=2)
    assert start.time() == time(0)


def test_the_time_zone_may_come_from_the_environment(nightly: Command):
    asked = nightly(
        "ready",
        "sales",
        "--start",
        "2026-07-01",
        "--grain",
        "day",
        "--json",
        PARTITION_REGISTRY_TIMEZONE="Asia/Tokyo",
    )
    assert asked.json["question"]["interval"]["start"] == "2026-06-30T15:00:00Z"


def test_now_is_one_moment_in_a_call(nightly: Command):
    refused = nightly("ready", "sales", "--start", "now", "--end", "now")
    assert "is empty" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--start", "today"),
        ("--start", "today", "--end", "now", "--grain", "day"),
        ("--start", "today", "--grain", "year"),
        ("--start", "today", "--grain", "day", "--timezone", "Mars/Olympus"),
        ("--start", "+9999999d", "--grain", "day"),
        ("--grain", "day"),
    ],
)
def test_invalid_intervals_are_refused(nightly: Command, arguments: tuple[str, ...]):
    refused = nightly("ready", "sales", *arguments)
    assert (refused.code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: ")


def test_every_grain_can_be_named():
    assert GRAINS == grains.GRAINS


def test_a_date_beyond_the_calendar(run: Command):
    refused = run("ready", "sales", "--start", "0001-01-01", "--grain", "day", "--timezone", "Asia/Tokyo")
    assert refused.code == 2
    assert " lies outside the years 1 to 9999 in UTC. See: " in refused.stderr
