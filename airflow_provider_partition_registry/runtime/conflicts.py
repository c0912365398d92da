"""What to do when somebody else holds a lock that conflicts: fail, or wait until it is released."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    PartitionLockedError,
    StoreUnavailableError,
)

OnConflict = Literal["fail", "wait"]
T = TypeVar("T")


def check_on_conflict(on_conflict: OnConflict) -> OnConflict:
    """Return ``on_conflict`` if it is valid.

    :raises InvalidInputError: it is not.
    """
    if on_conflict not in ("fail", "wait"):
        raise InvalidInputError(f"on_conflict is 'fail' or 'wait', not {on_conflict!r}.")
    return on_conflict


def lock_by(
    deadline: datetime,
    take: Callable[[], T],
    *,
    on_conflict: OnConflict,
    pause: Callable[[], None],
    tell: Callable[[str], object],
) -> T:
    """Take a lock, and wait if asked to. While it waits, it also waits for a registry that does not respond.

    :param take: takes the lock, once.
    :param pause: called between two attempts.
    :param tell: called with the reason for waiting, whenever that changes.
    :raises PartitionLockedError: somebody else holds the lock, and this does not wait, or no longer.
    :raises StoreUnavailableError: the registry does not respond, and this does not wait, or no longer.
    """
    told = ""
    while True:
        try:
            return take()
        except (PartitionLockedError, StoreUnavailableError) as error:
            if on_conflict == "fail" or datetime.now(UTC) >= deadline:
                raise
            if str(error) != told:
                told = str(error)
                tell(f"Still waiting. {told}")
        pause()


def in_seconds(duration: timedelta | float) -> float:
    """Convert a duration given as a timedelta or in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def seconds_until(deadline: datetime) -> float:
    """The time that is left, at least zero."""
    return max(0.0, (deadline - datetime.now(UTC)).total_seconds())
