"""Instants, durations and intervals on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import update_wrapper
from typing import Any, TypeVar

import click

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.moments import (
    DEFAULT_TIMEZONE,
    read_duration,
    read_moment,
)

Function = TypeVar("Function", bound=Callable[..., Any])

TIMEZONE_VARIABLE = "PARTITION_REGISTRY_TIMEZONE"
GRAINS = ("hour", "day", "week", "month")
"""The grains of :mod:`~airflow_provider_partition_registry.domain.grains`, whose import takes long."""

_TIMEZONE_KEY = f"{__name__}.timezone"
_NOW_KEY = f"{__name__}.now"


class InstantType(click.ParamType):
    """An instant: ISO 8601, or a word or offset that :func:`read_moment` knows."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read the value, in the time zone that the call names."""
        try:
            return read_moment(value, now=now_of(ctx), timezone=given_timezone(ctx))
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


class DurationType(click.ParamType):
    """A length of time such as ``90s``, ``15m``, ``2h``, ``1d`` or ``1h30m``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the value, which must be longer than zero."""
        if isinstance(value, timedelta):
            return value
        try:
            return read_duration(value)
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


def timezone_option(function: Function) -> Function:
    """Add ``--timezone``, which applies to every instant of the call, before or after it."""
    return click.option(
        "--timezone",
        envvar=TIMEZONE_VARIABLE,
        show_envvar=True,
        default=DEFAULT_TIMEZONE,
        show_default=True,
        metavar="ZONE",
        is_eager=True,  # It is needed to read the instants.
        expose_value=False,
        callback=_remember_timezone,
        help="Time zone in which days begin and instants without an offset are read, for example Europe/Berlin. Where "
        "clocks go back and an hour occurs twice, the first one is meant; write the offset to mean the second.",
    )(function)


def interval_options(function: Function) -> Function:
    """Add ``--start``, and ``--end`` or ``--grain``; the function gets the interval as ``interval``."""

    def with_interval(
        *args: Any, start: datetime, end: datetime | None, grain: str | None, **values: Any
    ) -> Any:
        return function(*args, interval=_interval(start, end, grain), **values)

    command = timezone_option(update_wrapper(with_interval, function))
    for option in (
        click.option(
            "--grain",
            type=click.Choice(GRAINS),
            help="Instead of --end: the whole hour, day, week or month that contains --start.",
        ),
        click.option(
            "--end",
            type=InstantType(),
            help="End of the interval (exclusive).",
        ),
        click.option(
            "--start",
            type=InstantType(),
            required=True,
            help="Start of the interval (inclusive): 2026-11-01, 2026-11-01T06:00+02:00, yesterday, today, now, or an "
            "offset from the current day, hour or minute, such as -1d, -2h, +30m.",
        ),
    ):
        command = option(command)
    return command  # type: ignore[return-value]


def _interval(start: datetime, end: datetime | None, grain: str | None) -> Interval:
    if end is not None and grain is None:
        return Interval(start, end)
    if grain is None or end is not None:
        raise click.UsageError("Give either --end or --grain")
    from airflow_provider_partition_registry.domain.grains import interval_at

    return interval_at(start, grain, given_timezone(click.get_current_context()))


def _remember_timezone(context: click.Context, parameter: click.Parameter, name: str) -> None:
    if name != DEFAULT_TIMEZONE:
        from airflow_provider_partition_registry.domain.grains import zone_named

        try:
            zone_named(name)
        except InvalidInputError as error:
            raise click.BadParameter(error.message, context, parameter) from None
    context.meta[_TIMEZONE_KEY] = name


def given_timezone(context: click.Context | None) -> str:
    """The time zone that the call names."""
    return DEFAULT_TIMEZONE if context is None else context.meta.get(_TIMEZONE_KEY, DEFAULT_TIMEZONE)


def now_of(context: click.Context | None) -> datetime:
    """The moment of the call, the same for all its instants."""
    now = datetime.now(UTC)
    return now if context is None else context.meta.setdefault(_NOW_KEY, now)
