"""Half-open intervals `[start, end)` of UTC instants, and their algebra."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError, InvalidIntervalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Instant = datetime | date | str
"""What a caller may give where an instant is wanted: a datetime (naive means UTC), a date, or ISO 8601 text."""

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
"""The first and the last possible instant."""


def to_instant(value: Instant, zone: tzinfo = UTC) -> datetime:
    """Read an instant as a plain, timezone-aware UTC datetime.

    :param value: a datetime, a date (its midnight), or ISO 8601 text of either, as ``str(datetime)`` or
        ``isoformat()`` print it.
    :param zone: the time zone of a value that has none.
    :raises InvalidIntervalError: the value is none of these, or lies outside the years 1 to 9999 in UTC.
    """
    if isinstance(value, str):
        value = _parse(value)
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise InvalidIntervalError(
                f"{value!r} is not an instant: give a datetime, a date, or ISO 8601 text such as 2026-11-01T00:00:00Z."
            )
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - its zone is set just below
    if value.tzinfo is UTC and type(value) is datetime:
        return value
    if value.utcoffset() is None:
        value = value.replace(tzinfo=zone)
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        raise InvalidIntervalError(f"{value!s} lies outside the years 1 to 9999 in UTC.") from None
    # Subclasses such as pendulum's become plain datetimes: equal values then look and serialize the same.
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, tzinfo=UTC
    )


def format_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with a trailing ``Z``: ``2026-11-01T00:00:00Z``."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_ends(interval: Interval) -> str:
    """Both ends as ISO 8601 writes intervals: ``2026-11-01T00:00:00Z/2026-11-02T00:00:00Z``."""
    return f"{format_instant(interval.start)}/{format_instant(interval.end)}"


def format_to_the_second(instant: datetime) -> str:
    """As :func:`format_instant`, without fractions of a second, for bookkeeping that people read."""
    return format_instant(instant.replace(microsecond=0))


def instant_after(instant: datetime, length: timedelta, what: str, *, may_be_zero: bool = False) -> datetime:
    """The instant that is a length of time later.

    :param what: what takes this long, for the message.
    :raises InvalidInputError: the length is no timedelta, is negative or (unless allowed) zero, or ends after the
        year 9999.
    """
    try:
        return instant + check_length(what, length, may_be_zero=may_be_zero)
    except OverflowError:
        raise InvalidInputError(f"The {what} of {length} ends after the year 9999.") from None


def check_length(what: str, length: timedelta, *, may_be_zero: bool = False) -> timedelta:
    """Return ``length`` if it is a valid length of time.

    :raises InvalidInputError: it is no timedelta, is negative or (unless allowed) zero.
    """
    if not isinstance(length, timedelta) or length < timedelta(0) or not (length or may_be_zero):
        least = "of at least" if may_be_zero else "greater than"
        given = f"{length.total_seconds():g} seconds" if isinstance(length, timedelta) else repr(length)
        raise InvalidInputError(
            f"The {what} must be a length of time {least} zero (a timedelta), not {given}."
        )
    return length


@dataclass(init=False, frozen=True, order=True, slots=True)
class Interval:
    """``[start, end)``: the instants from ``start`` on and before ``end``, in UTC to the microsecond.

    :param start: first instant inside; see :func:`to_instant` for what is accepted.
    :param end: first instant after it.
    :raises InvalidIntervalError: an end is not an instant, or ``start`` is not before ``end``.
    """

    start: datetime
    end: datetime

    def __init__(self, start: Instant, end: Instant) -> None:
        object.__setattr__(self, "start", to_instant(start))
        object.__setattr__(self, "end", to_instant(end))
        if self.start >= self.end:
            raise InvalidIntervalError(
                f"The interval [{format_instant(self.start)}, {format_instant(self.end)}) is empty: "
                f"its start must be before its end."
            )

    def __str__(self) -> str:
        return f"[{format_instant(self.start)}, {format_instant(self.end)})"

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share an instant; intervals that only touch do not."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Interval) -> bool:
        """Whether every instant of ``other`` lies in this one."""
        return self.start <= other.start and other.end <= self.end

    def intersection(self, other: Interval) -> Interval | None:
        """The interval that the two share, or None."""
        if not self.overlaps(other):
            return None
        return Interval(max(self.start, other.start), min(self.end, other.end))


def check_interval(value: Interval) -> Interval:
    """Return ``value`` if it is an interval.

    :raises InvalidIntervalError: it is anything else.
    """
    if not isinstance(value, Interval):
        raise InvalidIntervalError(f"Expected an Interval, not {type(value).__name__}.")
    return value


def union(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The fewest intervals that contain the same instants, in order. Intervals that touch are joined."""
    merged: list[Interval] = []
    for interval in sorted(intervals, key=attrgetter("start")):
        if merged and interval.start <= merged[-1].end:
            if interval.end > merged[-1].end:
                merged[-1] = Interval(merged[-1].start, interval.end)
        else:
            merged.append(interval)
    return tuple(merged)


def difference(intervals: Iterable[Interval], removed: Iterable[Interval]) -> tuple[Interval, ...]:
    """The instants of ``intervals`` that are in none of ``removed``, as disjoint intervals in order."""
    holes = union(removed)
    rest: list[Interval] = []
    first = 0
    for interval in union(intervals):
        while first < len(holes) and holes[first].end <= interval.start:
            first += 1
        start, at = interval.start, first
        while at < len(holes) and holes[at].start < interval.end:
            if start < holes[at].start:
                rest.append(Interval(start, holes[at].start))
            start = max(start, holes[at].end)
            at += 1
        if start < interval.end:
            rest.append(Interval(start, interval.end))
    return tuple(rest)


def clip(intervals: Iterable[Interval], within: Interval) -> tuple[Interval, ...]:
    """The parts of ``intervals`` that lie inside ``within``."""
    return tuple(part for interval in intervals if (part := interval.intersection(within)))


def overlapping(intervals: Iterable[Interval], others: Sequence[Interval]) -> tuple[Interval, ...]:
    """Those of some intervals that share an instant with one of others. Both are disjoint and in order."""
    found: list[Interval] = []
    at = 0
    for interval in intervals:
        while at < len(others) and others[at].end <= interval.start:
            at += 1
        if at < len(others) and interval.overlaps(others[at]):
            found.append(interval)
    return tuple(found)


def _parse(text: str) -> datetime:
    try:
        if "\x00" in text:  # fromisoformat() ignores everything after a NUL character.
            raise ValueError
        return datetime.fromisoformat(text.strip())
    except (OverflowError, ValueError):
        raise InvalidIntervalError(
            f"{_shorten(text)!r} is not an instant: give ISO 8601 such as 2026-11-01T00:00:00Z or 2026-11-01."
        ) from None


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
