"""Column types that mean the same in PostgreSQL and SQLite, on SQLAlchemy 1.4 and 2.x."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Integer
from sqlalchemy.types import TypeDecorator

from airflow_provider_partition_registry.domain.intervals import Interval

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# SQLite assigns row ids only in a column declared INTEGER, which holds 64 bits there as well.
RowId = BigInteger().with_variant(Integer, "sqlite")


def to_microseconds(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exactly.

    :raises ValueError: the datetime is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone")
    return (instant - _EPOCH) // _MICROSECOND


def ends_in_microseconds(interval: Interval) -> tuple[int, int]:
    """Start and end of an interval, as they are stored."""
    return to_microseconds(interval.start), to_microseconds(interval.end)


def from_microseconds(microseconds: int) -> datetime:
    """The inverse of :func:`to_microseconds`."""
    return _EPOCH + timedelta(microseconds=microseconds)


class UtcInstant(TypeDecorator):
    """An instant, kept as microseconds since 1970 in UTC.

    Native timestamp types lose zones (SQLite), shift with the session's time zone (PostgreSQL), and need different
    arithmetic in the two databases. Integers need the same arithmetic, and are compared and sent faster.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Turn the datetime into an integer; naive datetimes are refused."""
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """Turn the integer into a UTC datetime."""
        return None if value is None else from_microseconds(value)
