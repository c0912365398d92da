"""The history: ``history`` reads it, ``watch`` follows it live."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

import click

from airflow_provider_partition_registry.cli.instants import DurationType, InstantType, timezone_option
from airflow_provider_partition_registry.cli.options import Settings, common_options
from airflow_provider_partition_registry.cli.output import (
    as_json_text,
    printable,
    show,
    table,
    tell,
    terminal_width,
)
from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import format_instant, format_to_the_second
from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.listening import back_off
from airflow_provider_partition_registry.store.paging import all_items

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import Listener, RegistryReader

DEFAULT_LIMIT = 100
HEADINGS = ("POSITION", "AT", "EVENT", "SOURCE", "PROVIDER", "INTERVAL", "GEN", "DETAILS")
OUT_OF_ORDER = timedelta(minutes=1)
"""How far events may lie apart that are numbered in another order than their times."""
LONGEST_BACK_OFF = 15.0  # seconds
LONGEST_PAUSE = 3600.0


@dataclass(frozen=True, slots=True)
class History:
    """What ``history --json`` prints.

    :param has_earlier: there are earlier events that a higher ``--limit`` would show.
    :param next: what to pass as ``--after`` for more, None if there is no more.
    """

    events: tuple[Event, ...]
    has_earlier: bool
    next: int | None


@click.command()
@click.argument("source_name", metavar="[SOURCE]", required=False)
@click.option(
    "--after", type=click.IntRange(min=0), metavar="N", help="Begin after this position; 0 is the beginning."
)
@click.option("--since", type=InstantType(), metavar="INSTANT", help="Begin at this instant.")
@timezone_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show at most so many events: the newest, or with --after or --since the first from there on.",
)
@common_options
@click.pass_obj
def history(
    settings: Settings,
    source_name: str | None,
    *,
    after: int | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show what happened last, the newest at the end.

    Every change of state is one event; without a source, those of all are shown. With --after or --since it begins
    there instead, and says how to go on; --after 0 is the beginning.
    """
    with settings.open_existing_store() as store:
        if after is None and since is None:
            found = _newest(store, source_name, limit)
        else:
            found = _beginning_at(store, source_name, after or 0, since, limit)
    show(found, lambda: _history_text(found), as_json=as_json)


@click.command()
@click.argument("source_name", metavar="[SOURCE]", required=False)
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Begin after this position, for instance the last one seen; by default with what happens from now on.",
)
@click.option(
    "--poll-interval",
    type=DurationType(),
    default="2s",
    show_default=True,
    metavar="DURATION",
    help="Ask at least this often. PostgreSQL tells at once of what ends a wait.",
)
@common_options
@click.pass_obj
def watch(
    settings: Settings, source_name: str | None, *, after: int | None, poll_interval: timedelta, as_json: bool
) -> None:
    """Follow events live, of a source or of all; a line each.

    Ends when it is interrupted. Nothing is missed and nothing told twice, also while the registry is down: whoever
    begins again with --after and the last position seen goes on where it ended.
    """
    with settings.open_existing_store(2) as store:
        begin = store.last_position() if after is None else after
        for event in _follow(store, source_name, begin, min(poll_interval.total_seconds(), LONGEST_PAUSE)):
            click.echo(
                as_json_text(event) if as_json else printable("  ".join(each for each in _row(event) if each))
            )


def _newest(store: RegistryReader, source_name: str | None, limit: int) -> History:
    """The end of the history. One event more than is shown tells whether there are earlier ones."""
    if source_name is None:  # Positions of the whole history have no gaps, so they can be counted back.
        begin = max(0, store.last_position() - limit - 1)
        found = tuple(islice(_events(store, None, begin), limit + 1))
    else:
        pages = all_items(lambda after, limit: store.latest_events(source_name, after, limit))
        found = tuple(islice(pages, limit + 1))[::-1]
    return History(found[-limit:], len(found) > limit, None)


def _beginning_at(
    store: RegistryReader, source_name: str | None, after: int, since: datetime | None, limit: int
) -> History:
    if since is not None:
        after = max(after, position_before(store, source_name, since - OUT_OF_ORDER))
    wanted = (each for each in _events(store, source_name, after) if since is None or each.at >= since)
    found = tuple(islice(wanted, limit + 1))
    shown = found[:limit]
    return History(shown, False, shown[-1].position if len(found) > limit else None)


def position_before(store: RegistryReader, source_name: str | None, instant: datetime) -> int:
    """A position after which there are only events at or after an instant, found in a few probes.

    Of events that are numbered in another order than their times some may be left out.
    """

    def is_late_enough(position: int) -> bool:
        try:
            page = store.events(position, source_name, 1)
        except InvalidInputError:  # The history has not come so far.
            return True
        return not page.items or page.items[0].at >= instant

    if is_late_enough(0):
        return 0
    low, high = 0, 1  # is_late_enough(low) is false
    while not is_late_enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_late_enough(middle) else (middle, high)
    return high


def _events(store: RegistryReader, source_name: str | None, begin: int) -> Iterator[Event]:
    """All there are, fetched as they are taken."""
    return all_items(lambda after, limit: store.events(begin if after is None else after, source_name, limit))


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
                for event in _events(store, source_name, after):
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
                    tell(f"{error} It is asked again.")
                failures += 1
                time.sleep(min(back_off(failures), LONGEST_BACK_OFF))


def _history_text(found: History) -> str:
    shown = table(HEADINGS, map(_row, found.events), empty="No events.", width=terminal_width())
    if found.has_earlier:
        return f"{shown}\n... and earlier ones: raise --limit, or begin with --since or --after 0."
    return shown if found.next is None else f"{shown}\n... and more: go on with --after {found.next}."


def _row(event: Event) -> Sequence[str | None]:
    interval = event.interval
    return (
        str(event.position),
        format_to_the_second(event.at),
        event.type.value,
        event.source_name,
        event.provider_name,
        f"{format_instant(interval.start)}/{format_instant(interval.end)}" if interval else None,
        None if event.generation is None else str(event.generation),
        _details(event),
    )


def _details(event: Event) -> str:
    holder = [f"by {event.holder}"] if event.holder else []
    return "; ".join([*holder, *(f"{key}: {value}" for key, value in event.details.items())])
