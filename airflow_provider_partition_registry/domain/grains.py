"""Grains: the regular intervals (hours, days, weeks, months) that a partition date stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Instant, Interval, to_instant

GRAINS = ("hour", "day", "week", "month")
Grain = str | timedelta


def interval_at(instant: Instant, grain: Grain, timezone: str = "UTC") -> Interval:
    """The interval of a grain that holds an instant.

    A named grain follows the calendar of ``timezone``: a day may last 23 or 25 hours, a week starts on Monday.
    A timedelta is counted off in UTC from 1970-01-01T00:00:00Z.

    :raises InvalidInputError: an unknown grain or time zone, or a timedelta that is not positive.
    """
    moment = to_instant(instant)
    if isinstance(grain, timedelta):
        return _counted(moment, grain)
    if grain not in GRAINS:
        raise InvalidInputError(f"A grain is one of {', '.join(GRAINS)} or a timedelta, not {grain!r}.")
    try:
        start = pendulum.instance(moment).in_timezone(timezone).start_of(grain)  # type: ignore[arg-type]
    except (pendulum.tz.exceptions.InvalidTimezone, ValueError):
        raise InvalidInputError(f"Unknown time zone {timezone!r}: give a name such as Europe/Paris.") from None
    if grain == "hour":  # Counted on the clock's hands an hour could start twice when summer time ends.
        utc = start.in_timezone(UTC)
        return Interval(utc, utc.add(hours=1))
    return Interval(start, start.add(**{f"{grain}s": 1}))


def _counted(moment: datetime, length: timedelta) -> Interval:
    if length <= timedelta(0):
        raise InvalidInputError(f"A grain must be longer than zero, not {length}.")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + (moment - epoch) // length * length
    return Interval(start, start + length)
