"""``watch``: show what happens, as it happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import click

from airflow_provider_partition_registry.cli.events import event_row, grain_row
from airflow_provider_partition_registry.cli.following import (
    LONGEST_PAUSE,
    CursorType,
    Events,
    Grains,
    follow,
)
from airflow_provider_partition_registry.cli.instants import (
    GRAINS,
    DurationType,
    given_timezone,
    timezone_option,
)
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import as_json_text, printable
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.models import Event, GrainEvent


@click.command()
@click.argument("source_name", metavar="[SOURCE]", required=False)
@click.option(
    "--after",
    type=CursorType(),
    metavar="N",
    help="Start after this position, for example the last one seen. By default only new events are shown.",
)
@click.option(
    "--grain",
    type=click.Choice(GRAINS),
    help="Instead of events, show whole hours, days, weeks or months of SOURCE when they become ready.",
)
@timezone_option
@click.option(
    "--poll-interval",
    type=DurationType(),
    default="2s",
    show_default=True,
    help="Ask at least this often. A registry in PostgreSQL also announces at once what can end a wait.",
)
@common_options
@click.pass_context
def watch(
    context: click.Context,
    source_name: str | None,
    *,
    after: GrainCursor | None,
    grain: str | None,
    poll_interval: timedelta,
    as_json: bool,
) -> None:
    """Follow events as they happen, one line each.

    Without SOURCE the events of all sources are shown. Runs until it is interrupted. No event is missed or repeated,
    even if the registry is unavailable for a while. To resume where it ended, pass the first word of the last line to
    --after.

    With --grain each line is a whole day (hour, ...) that became ready: once when it is complete for the first time,
    and once more whenever it was written again.
    """
    if grain is not None and source_name is None:
        raise click.UsageError("--grain needs a SOURCE")
    options: Options = context.obj
    pause = min(poll_interval.total_seconds(), LONGEST_PAUSE)
    with options.open_existing_store(2) as store:
        begin = GrainCursor(store.last_position()) if after is None else after
        found: Iterator[Event | GrainEvent]
        if grain is None or source_name is None:
            found = follow(store, Events(store, source_name, begin.last_whole), pause)
        else:
            found = follow(store, Grains(store, source_name, grain, given_timezone(context), begin), pause)
        for each in found:
            click.echo(as_json_text(each) if as_json else printable(_line(each)))


def _line(told: Event | GrainEvent) -> str:
    cells = grain_row(told) if isinstance(told, GrainEvent) else event_row(told)
    return "  ".join(each for each in cells if each)
