"""Grains: the regular intervals (hours, days, weeks, months) that a partition date can stand for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

import pendulum

from airflow_provider_partition_registry.domain.intervals import Instant, Interval, format_instant, to_instant
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError, InvalidIntervalError

GRAINS = ("hour", "day", "week", "month")
Grain = str | timedelta


def interval_at(instant: Instant, grain: Grain, timezone: str = "UTC") -> Interval:
    """The interval of a grain that contains an instant.

    A named grain follows the calendar of ``timezone``: a day may last 23 or 25 hours, a week starts on Monday.
    Intervals of a timedelta are counted from 1970-01-01T00:00:00Z in UTC.

    :raises InvalidInputError: an unknown grain or time zone, or a timedelta that is not positive.
    :raises InvalidIntervalError: this is not an instant, or the interval would reach beyond the years 1 to 9999.
    """
    moment = to_instant(instant)
    zone = zone_named(timezone)
    check_grain(grain)
    try:
        return _counted(moment, grain) if isinstance(grain, timedelta) else _of_calendar(moment, grain, zone)
    except InvalidIntervalError:
        raise
    except (OverflowError, ValueError):
        raise InvalidIntervalError(
            f"The {grain} around {format_instant(moment)} reaches outside the years 1 to 9999."
        ) from None


def split_interval(
    interval: Interval, grain: Grain, timezone: str = "UTC", *, at_most: int
) -> list[Interval]:
    """The intervals of a grain that together are the given one, in order.

    :raises InvalidInputError: as :func:`interval_at`, or there are more than ``at_most`` of them.
    :raises InvalidIntervalError: the interval does not begin and end where one of them does.
    """
    pieces: list[Interval] = []
    start = interval.start
    while start < interval.end:
        piece = interval_at(start, grain, timezone)
        if piece.start != start or piece.end > interval.end:
            raise InvalidIntervalError(
                f"{interval} does not consist of whole intervals of the grain {grain}: {piece} reaches beyond it. "
                f"Choose an interval that does, or another grain, and mind the time zone (here {timezone})."
            )
        if len(pieces) == at_most:
            raise InvalidInputError(
                f"{interval} consists of more than {at_most:,} intervals of the grain {grain}. Choose a shorter "
                f"interval or a longer grain."
            )
        pieces.append(piece)
        start = piece.end
    return pieces


def check_grain(grain: Grain) -> Grain:
    """Return ``grain`` if it is valid.

    :raises InvalidInputError: an unknown name, or a timedelta that is not positive.
    """
    if not isinstance(grain, timedelta) and grain not in GRAINS:
        raise InvalidInputError(f"A grain is one of {', '.join(GRAINS)} or a timedelta, not {grain!r}.")
    if isinstance(grain, timedelta) and grain <= timedelta(0):
        raise InvalidInputError(f"A grain must be longer than zero, not {grain}.")
    return grain


def zone_named(name: str) -> tzinfo:
    """The time zone with an IANA name.

    :raises InvalidInputError: there is no such time zone.
    """
    try:
        if isinstance(
            name, str
        ):  # pendulum reads None as this host's zone, and numbers as seconds east of UTC
            return pendulum.timezone(name)
    except (pendulum.tz.exceptions.InvalidTimezone, ValueError):
        pass
    raise InvalidInputError(f"Unknown time zone {name!r}: give a name such as Europe/Paris.")


def _of_calendar(moment: datetime, grain: str, zone: tzinfo) -> Interval:
    local = moment.astimezone(zone)
    if grain == "hour":  # Computed from the moment itself: local time can have the same hour twice.
        start = moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return Interval(start, start + timedelta(hours=1))
    first, following = _days(local.date(), grain)
    return Interval(first_instant(first, zone), first_instant(following, zone))


def _days(day: date, grain: str) -> tuple[date, date]:
    """The first day of the grain that contains ``day``, and that of the next one."""
    if grain == "day":
        return day, day + timedelta(days=1)
    if grain == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def first_instant(day: date, zone: tzinfo) -> datetime:
    """The first instant of a day. Where the clock jumps over midnight, this is the moment of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _counted(moment: datetime, length: timedelta) -> Interval:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = epoch + (moment - epoch) // length * length
    return Interval(start, start + length)
