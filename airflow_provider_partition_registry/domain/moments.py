"""Instants and lengths of time as people write them: ``yesterday``, ``-2h``, ``2026-11-01``; ``1h30m``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from airflow_provider_partition_registry.domain.intervals import to_instant
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError, InvalidIntervalError

DEFAULT_TIMEZONE = "UTC"
NOW = "now"

_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OFFSET = re.compile(r"([+-]\d{1,7})([dhm])", re.ASCII)
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)


def read_moment(text: str, *, now: datetime, timezone: str = DEFAULT_TIMEZONE) -> datetime:
    """Read an instant: ISO 8601, a word, or an offset.

    ``yesterday``, ``today`` and ``tomorrow`` are the starts of days; ``now`` is the present moment itself. Offsets
    count whole units: ``-1d`` is the start of yesterday, ``-2h`` the start of the hour two before this one, ``+30m``
    the start of the minute thirty after this one. So a command that runs again within the unit means the same
    partition. When clocks are put back, an ISO 8601 text without an offset can occur twice; it means the first time.

    :param now: the present moment.
    :param timezone: the time zone in which days begin, and of ISO 8601 text without an offset.
    :raises InvalidIntervalError: the text is none of these, or lies outside the years 1 to 9999.
    :raises InvalidInputError: there is no such time zone.
    """
    word = text.strip().lower()
    if word == NOW:
        return now
    try:
        if word in _DAYS:
            return _start_of_day(now, _DAYS[word], timezone)
        if offset := _OFFSET.fullmatch(word):
            return _start_of_unit(now, int(offset[1]), offset[2], timezone)
    except OverflowError:
        raise InvalidIntervalError(f"{text!r} lies outside the years 1 to 9999.") from None
    try:
        return to_instant(text, _zone(timezone))
    except InvalidIntervalError as error:
        if _DATE.match(word):  # Whoever gives a date need not be told about the words.
            raise
        raise InvalidIntervalError(
            f"{error.message.rstrip('.')}; or one of {', '.join(_DAYS)}, {NOW}, or an offset such as -1d, -2h, +30m."
        ) from None


def read_duration(text: str) -> timedelta:
    """Read a length of time such as ``90s``, ``15m``, ``2h``, ``1d`` or ``1h30m``.

    :raises InvalidInputError: the text is none, or is longer than can be counted, or of no length.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        raise InvalidInputError(f"{text!r} is not a duration: give one such as 90s, 15m, 2h, 1d or 1h30m.")
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise InvalidInputError(f"{text!r} is too long.") from None
    if not duration:
        raise InvalidInputError(f"{text!r} is an empty duration.")
    return duration


def _start_of_unit(now: datetime, count: int, unit: str, timezone: str) -> datetime:
    if unit == "d":
        return _start_of_day(now, count, timezone)
    if unit == "m":
        return now.replace(second=0, microsecond=0) + timedelta(minutes=count)
    minute_of_hour = now.astimezone(_zone(timezone)).minute  # Some zones are off by half an hour.
    return now.replace(second=0, microsecond=0) + timedelta(hours=count, minutes=-minute_of_hour)


def _start_of_day(now: datetime, days: int, timezone: str) -> datetime:
    zone = _zone(timezone)
    return to_instant(now.astimezone(zone).date() + timedelta(days=days), zone)


def _zone(name: str) -> tzinfo:
    if name == DEFAULT_TIMEZONE:
        return UTC
    # Importing calendars takes longer than most calls do.
    from airflow_provider_partition_registry.domain.grains import zone_named

    return zone_named(name)
