"""Where an interval lies as seen from another one: the day before it, the last 7 days of it, the month around it."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from airflow_provider_partition_registry.domain.grains import first_instant, interval_at, zone_named
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.invalid_input import InvalidIntervalError

UNITS = ("hour", "day", "week", "month", "year")

_MIDNIGHT = time()
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """A way along the calendar.

    :param count: how many units; negative to go back.
    :param unit: one of :data:`UNITS`.
    """

    count: int
    unit: str


@dataclass(frozen=True, slots=True)
class Span:
    """Which interval is meant, as seen from another one. What is given applies in this order.

    :param grain: the whole hour, day, week or month in which the other interval begins, in place of that.
    :param moved: by how far to move it.
    :param last: so much time up to its end, in place of all of it.
    """

    grain: str | None = None
    moved: Step | None = None
    last: Step | None = None

    def seen_from(self, interval: Interval, timezone: str) -> Interval:
        """The interval that is meant.

        Days, weeks, months and years follow the calendar of ``timezone``. A day that a shorter month does not have
        means the last day of that month, and whole months remain whole months. An hour that the clock jumps over means
        the hour after it.

        :raises InvalidInputError: there is no such time zone.
        :raises InvalidIntervalError: the interval reaches beyond the years 1 to 9999.
        """
        zone = zone_named(timezone)
        found = interval
        try:
            if self.grain is not None:
                found = interval_at(found.start, self.grain, timezone)
            if self.moved is not None:
                found = _moved(found, self.moved, zone)
            if self.last is not None:
                found = _last(found, self.last, zone)
        except InvalidIntervalError:
            raise
        except (OverflowError, ValueError):
            raise InvalidIntervalError(
                f"What is meant as seen from {interval} reaches outside the years 1 to 9999."
            ) from None
        return found


def first_at(clock: time, instant: datetime, timezone: str) -> datetime:
    """The first instant from the given one on at which the clocks of a time zone show a time of day.

    Where the clocks jump over it, it is read as if they had not jumped yet; where they show it twice, the first counts.

    :raises InvalidInputError: there is no such time zone.
    :raises InvalidIntervalError: it lies after the year 9999.
    """
    zone = zone_named(timezone)
    try:
        day = instant.astimezone(zone).date()
        today = datetime.combine(day, clock, zone).astimezone(UTC)
        return today if today >= instant else datetime.combine(day + _DAY, clock, zone).astimezone(UTC)
    except OverflowError:
        raise InvalidIntervalError(
            f"The first {clock:%H:%M} after {format_instant(instant)} lies after the year 9999."
        ) from None


def _moved(interval: Interval, step: Step, zone: tzinfo) -> Interval:
    if step.unit == "hour":
        way = timedelta(hours=step.count)
        return Interval(interval.start + way, interval.end + way)
    start, end = _wall_clock(interval.start, zone), _wall_clock(interval.end, zone)
    new_start = _instant(_walked(start, step), zone)
    if end.time() == _MIDNIGHT and not (_begins_month(start) and _begins_month(end)):
        # It is the end of the day before it, which may become the last day of a month.
        new_end = _instant(_walked(end - _DAY, step) + _DAY, zone)
    else:
        new_end = _instant(_walked(end, step), zone)
    if new_start >= new_end:  # The clock jumps over it, or both days are missing in a short month.
        new_end = new_start + (interval.end - interval.start)
    return Interval(new_start, new_end)


def _last(interval: Interval, length: Step, zone: tzinfo) -> Interval:
    back = Step(-length.count, length.unit)
    if length.unit == "hour":
        start = interval.end + timedelta(hours=back.count)
    else:
        start = _instant(_walked(_wall_clock(interval.end, zone), back), zone)
    return Interval(start, interval.end)


def _walked(wall: datetime, step: Step) -> datetime:
    """A time on a wall clock, so many days, weeks, months or years later."""
    if step.unit in ("day", "week"):
        return wall + step.count * (7 if step.unit == "week" else 1) * _DAY
    months = step.count * (12 if step.unit == "year" else 1)
    year, before = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    month = before + 1
    return wall.replace(year=year, month=month, day=min(wall.day, monthrange(year, month)[1]))


def _wall_clock(instant: datetime, zone: tzinfo) -> datetime:
    """What a clock on the wall shows, without a zone; at the first instant of a day it is always midnight."""
    wall = instant.astimezone(zone).replace(tzinfo=None)
    midnight = datetime.combine(wall.date(), _MIDNIGHT)
    return midnight if instant == first_instant(wall.date(), zone) else wall


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _begins_month(wall: datetime) -> bool:
    return wall.day == 1 and wall.time() == _MIDNIGHT
