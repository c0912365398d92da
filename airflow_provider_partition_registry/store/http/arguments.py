"""The arguments of the store's methods as the service takes them. Invalid ones are refused before they are sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval, check_interval
from airflow_provider_partition_registry.domain.names import (
    MAX_NAME_LENGTH,
    check_limit,
    check_name,
    check_number,
)
from airflow_provider_partition_registry.domain.principals import Principal, check_principal
from airflow_provider_partition_registry.domain.requests import check_decision
from airflow_provider_partition_registry.store.wire.fields import grain_to_text
from airflow_provider_partition_registry.store.wire.requests import interval_to_data

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grains import Grain


def after_name(after: str | None, limit: int) -> dict[str, Any]:
    """Which page of a list in the order of names."""
    return {"after": optional_name("cursor", after), "limit": check_limit(limit)}


def after_number(after: int | None, limit: int) -> dict[str, Any]:
    """Which page of a numbered list."""
    return {
        "after": None if after is None else check_number("cursor", after),
        "limit": check_limit(limit),
    }


def optional_name(what: str, name: str | None, longest: int = MAX_NAME_LENGTH) -> str | None:
    """A name, or None."""
    return None if name is None else check_name(what, name, longest)


def principal(principal: Principal) -> dict[str, str]:
    """The source or provider whose tokens are meant."""
    check_principal(principal)
    return {f"{principal.kind.value}_name": principal.name}


def ends(interval: Interval) -> dict[str, str]:
    """The ends of an interval."""
    return interval_to_data(check_interval(interval))


def decision(reason: str, by: str) -> dict[str, str]:
    """Why something is decided by hand, and who decides it (R6)."""
    check_decision(reason, by)
    return {"reason": reason, "by": by}


def of_grain(grain: Grain, timezone: str) -> dict[str, str]:
    """Which intervals of the calendar are meant."""
    # Imported late, as time zones take long to import.
    from airflow_provider_partition_registry.domain.grains import check_grain, zone_named

    zone_named(timezone)
    return {"grain": grain_to_text(check_grain(grain)), "timezone": timezone}


def seconds(what: str, duration: timedelta) -> float:
    """A duration."""
    if not isinstance(duration, timedelta):
        raise InvalidInputError(f"The {what} must be a timedelta, not {duration!r}.")
    return duration.total_seconds()
