"""What events of an Airflow asset tell of a grain, and the partition key by which Airflow names it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from airflow_provider_partition_registry.domain.grains import Grain, zone_named
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import GrainEvent

_FORMATS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m"}
_OF_A_LENGTH = "%Y-%m-%dT%H:%M:%S"


def key_of_grain(interval: Interval, grain: Grain, timezone: str) -> str:
    """The partition key of a grain: its beginning in its time zone, as far as it needs to be told.

    It is "2026-11-01" for a day and a week, "2026-11" for a month, "2026-11-01T05" for an hour, as Airflow's own
    mappers write days, months and hours; and "2026-11-01T05:00:00" in UTC for a grain that is a timedelta. Where an
    hour occurs twice as clocks go back, the second one has the offset as well: "2026-10-25T02+0100".
    """
    if not isinstance(grain, str):
        return interval.start.strftime(_OF_A_LENGTH)
    local = interval.start.astimezone(zone_named(timezone))
    is_second = grain == "hour" and local.fold
    return local.strftime(_FORMATS[grain] + ("%z" if is_second else ""))


def told_of_grain(grain: GrainEvent) -> dict[str, Any]:
    """What an asset's event tells of a grain that became ready, as JSON."""
    return {
        "source_name": grain.source_name,
        "start": format_instant(grain.interval.start),
        "end": format_instant(grain.interval.end),
        "version": grain.version,
        "at": format_instant(grain.at),
        "cursor": grain.cursor,
    }


def digest_of(followed: Any) -> str:
    """A short name for what somebody follows, which is the same wherever it is described in the same way.

    :param followed: its description, as JSON.
    """
    return hashlib.sha256(json.dumps(followed, sort_keys=True).encode()).hexdigest()[:16]
