"""The interval that a run is about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_partition_registry.domain.errors import InvalidIntervalError
from airflow_provider_partition_registry.domain.grains import Grain, interval_at, zone_named
from airflow_provider_partition_registry.domain.intervals import Instant, Interval, to_instant


def interval_of_run(
    context: Mapping[str, Any],
    *,
    start: Instant | None = None,
    end: Instant | None = None,
    grain: Grain | None = None,
    timezone: str = "UTC",
) -> Interval:
    """The interval that a task is about.

    In this order: ``start`` and ``end``; ``start`` alone with a ``grain``; the run's partition date, or else its
    partition key, with a ``grain`` (Airflow 3.2 and later); the run's data interval as it is, if it is not empty.

    A partition key is read as Airflow's own timetables and mappers write it: a date, or a date and a time, in
    ``timezone`` unless it has an offset; or a month.

    :param context: that of the running task.
    :param grain: "hour", "day", "week", "month", or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :raises InvalidIntervalError: none of these is given; the message says what to set.
    """
    for name, value in (("start", start), ("end", end)):
        if value == "":
            raise InvalidIntervalError(f"{name} is empty: its template rendered to nothing.")
    if start is not None or end is not None:
        return _explicit(start, end, grain, timezone)
    for name in ("partition_date", "partition_key"):
        value = _of_run(context, name)
        if value is not None:
            return _of_partition(value, f"the {name.replace('_', ' ')} {value}", grain, timezone)
    return _data_interval(context)


def _of_partition(value: Any, what: str, grain: Grain | None, timezone: str) -> Interval:
    if grain is None:
        raise InvalidIntervalError(
            f'The run has {what}, but how long a partition lasts is not said: set grain, for example grain="day".'
        )
    return interval_at(_instant_of_key(value, timezone) if isinstance(value, str) else value, grain, timezone)


def _instant_of_key(key: str, timezone: str) -> Instant:
    # A month, and the week that StartOfWeekMapper adds to a date, are not ISO 8601 as Python reads it.
    date = re.sub(r" \(W\d\d\)$", "", f"{key}-01" if re.fullmatch(r"\d{4}-\d\d", key) else key)
    try:
        return to_instant(date, zone_named(timezone))
    except InvalidIntervalError:
        raise InvalidIntervalError(
            f"The run's partition key {key!r} is no date that can be read, so it does not say what the task is about. "
            f'Set the interval, for example start="{{{{ dag_run.conf[\'day\'] }}}}", grain="day".'
        ) from None


def _explicit(start: Instant | None, end: Instant | None, grain: Grain | None, timezone: str) -> Interval:
    if start is not None and end is not None:
        return Interval(start, end)
    if start is not None and grain is not None:
        return interval_at(start, grain, timezone)
    missing = "start" if start is None else "end"
    raise InvalidIntervalError(
        f"Only one end of the interval is given: set {missing} as well"
        + ("." if start is None else ", or a grain.")
    )


def _data_interval(context: Mapping[str, Any]) -> Interval:
    start, end = _of_run(context, "data_interval_start"), _of_run(context, "data_interval_end")
    if start is None or end is None:
        raise InvalidIntervalError(
            "This run has no data interval: it was triggered by an asset, or by hand without a date. Say what it is "
            'about, for example start="{{ dag_run.run_after }}", grain="day" for the day in which it was due, or '
            'start="{{ dag_run.conf[\'day\'] }}", grain="day" for one that is given with the run.'
        )
    if start == end:
        raise InvalidIntervalError(
            f"The data interval of this run is empty: it starts and ends at {start}. That is how Airflow 3 runs plain "
            f'cron schedules. Set the interval, for example start="{{{{ macros.ds_add(ds, -1) }}}}", grain="day" '
            f"for the day before, or schedule the DAG with a timetable that has data intervals, such as "
            f"CronDataIntervalTimetable."
        )
    return Interval(start, end)


def _of_run(context: Mapping[str, Any], name: str) -> Any:
    """A date of the run. Airflow 3 leaves out keys without a value, and 2.11 does not know all of them."""
    value = context.get(name)
    return value if value is not None else getattr(context.get("dag_run"), name, None)
