"""``watch``: show events as they happen."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import (
    as_json_text,
    printable,
    tell,
)
from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.listening import back_off

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import Listener, RegistryReader
from airflow_provider_partition_registry.cli.events import event_row, events_after

LONGEST_BACK_OFF = 15.0  # seconds
LONGEST_PAUSE = 3600.0


@click.command()
@click.argument("source_name", metavar="[SOURCE]", required=False)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Start after this position, for example the last one seen. By default only new events are shown.",
)
@click.option(
    "--poll-interval",
    type=DurationType(),
    default="2s",
    show_default=True,
    help="Ask at least this often. A registry in PostgreSQL also announces at once what can end a wait.",
)
@common_options
@click.pass_obj
def watch(
    options: Options, source_name: str | None, *, after: int | None, poll_interval: timedelta, as_json: bool
) -> None:
    """Follow events as they happen, one line each.

    Without SOURCE the events of all sources are shown. Runs until it is interrupted. No event is missed or repeated,
    even if the registry is unavailable for a while. To resume where it ended, pass the last position seen to --after.
    """
    with options.open_existing_store(2) as store:
        begin = store.last_position() if after is None else after
        for event in _follow(store, source_name, begin, min(poll_interval.total_seconds(), LONGEST_PAUSE)):
            click.echo(
                as_json_text(event)
                if as_json
                else printable("  ".join(each for each in event_row(event) if each))
            )


def _follow(
    store: RegistryReader, source_name: str | None, after: int, poll_interval: float
) -> Iterator[Event]:
    """Events as they happen, for ever."""
    failures = 0
    with contextlib.ExitStack() as listening:
        listener: Listener | None = None
        while True:
            try:
                if listener is None and (listener := store.open_listener()) is not None:
                    listening.enter_context(contextlib.closing(listener))
                for event in events_after(store, source_name, after):
                    after = event.position
                    yield event
                failures = 0
                if listener is None:
                    time.sleep(poll_interval)
                else:
                    listener.wait(poll_interval)
            except StoreUnavailableError as error:
                listening.close()
                listener = None
                if not failures:
                    tell(f"{error} Trying again.")
                failures += 1
                time.sleep(min(back_off(failures), LONGEST_BACK_OFF))
