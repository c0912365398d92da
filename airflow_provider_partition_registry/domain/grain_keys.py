"""Partition keys: how Airflow names a day, an hour, ... of a partitioned asset."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.grains import Grain, zone_named
from airflow_provider_partition_registry.domain.intervals import Interval

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
