"""``history``: show what happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import click

from airflow_provider_partition_registry.cli.events import HEADINGS, event_row, events_after
from airflow_provider_partition_registry.cli.instants import InstantType, timezone_option
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, table, terminal_width
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    LostPositionError,
    PrunedPositionError,
)
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.models import Event, HistoryPage
from airflow_provider_partition_registry.store.finding import first_after, position_before
from airflow_provider_partition_registry.store.paging import all_items

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryReader

DEFAULT_LIMIT = 100
OUT_OF_ORDER = timedelta(minutes=1)
"""How far apart in time events may lie whose positions are in a different order from their times."""


@dataclass(frozen=True, slots=True)
class History:
    """What ``history --json`` prints.

    :param has_earlier: whether a higher ``--limit`` would show earlier events.
    :param next: what to pass as ``--after`` for more, or None if there are no more.
    :param pruned_before: if older events were removed that would be shown: the instant before which they happened.
    """

    events: tuple[Event, ...]
    has_earlier: bool
    next: int | None
    pruned_before: str | None = None


@click.command()
@click.argument("source_name", metavar="[SOURCE]", required=False)
@click.option(
    "--after", type=click.IntRange(min=0), metavar="N", help="Start after this position; 0 is the beginning."
)
@click.option("--since", type=InstantType(), help="Start at this instant.")
@timezone_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show at most N events: the newest, or with --after or --since the first from there on.",
)
@common_options
@click.pass_obj
def history(
    options: Options,
    source_name: str | None,
    *,
    after: int | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show the latest events, the newest last.

    Every change of state is one event. Without SOURCE the events of all sources are shown. With --after or --since the
    output starts there instead, and says how to continue.
    """
    with options.open_existing_store() as store:
        if after is None and since is None:
            found = _newest(store, source_name, limit)
        else:
            found = _beginning_at(store, source_name, after or 0, since, limit)
    show(found, lambda: _history_text(found), as_json=as_json)


def _newest(store: RegistryReader, source_name: str | None, limit: int) -> History:
    """The end of the history. One event more than is shown is read, to see whether there are earlier ones."""
    look = _newest_of_all if source_name is None else partial(_newest_of_source, source_name=source_name)
    found, pruned_before = look(store, count=limit + 1)
    return History(found[-limit:], len(found) > limit, None, pruned_before)


def _newest_of_source(
    store: RegistryReader, *, source_name: str, count: int
) -> tuple[tuple[Event, ...], str | None]:
    pages: list[HistoryPage] = []

    def next_page(after: int | None, limit: int) -> HistoryPage:
        pages.append(store.latest_events(source_name, after, limit))
        return pages[-1]

    found = tuple(islice(all_items(next_page), count))[::-1]
    pruned_before = pages[-1].pruned_before
    return found, None if pruned_before is None else format_to_the_second(pruned_before)


def _newest_of_all(store: RegistryReader, *, count: int) -> tuple[tuple[Event, ...], str | None]:
    """The newest events of all sources. Some positions have no event, so it looks back further until it has enough."""
    last, distance = store.last_position(), count
    while True:
        begin, pruned_before = _whole_from(store, None, max(0, last - distance))
        first = first_after(store, None, begin)
        found = deque(events_after(store, None, first.position - 1) if first else (), maxlen=count)
        if begin == 0 or pruned_before is not None or len(found) == count:
            return tuple(found), pruned_before
        distance *= 2


def _whole_from(store: RegistryReader, source_name: str | None, position: int) -> tuple[int, str | None]:
    """The first position from this one on after which nothing was removed, and before which instant it was."""
    try:
        store.events(position, source_name, 1)
    except PrunedPositionError as error:
        return error.pruned_to, error.pruned_before
    except (InvalidInputError, LostPositionError):
        pass
    return position, None


def _beginning_at(
    store: RegistryReader, source_name: str | None, after: int, since: datetime | None, limit: int
) -> History:
    pruned_before = None
    if since is not None:
        after = max(after, position_before(store, source_name, since - OUT_OF_ORDER))
        after, pruned_before = _whole_from(store, source_name, after)
    wanted = (each for each in events_after(store, source_name, after) if since is None or each.at >= since)
    found = tuple(islice(wanted, limit + 1))
    shown = found[:limit]
    return History(shown, False, shown[-1].position if len(found) > limit else None, pruned_before)


def _history_text(found: History) -> str:
    lines = [table(HEADINGS, map(event_row, found.events), empty="No events.", width=terminal_width())]
    if found.pruned_before is not None:
        lines.insert(
            0, f"The history was pruned: of what happened before {found.pruned_before}, most was removed."
        )
    if found.has_earlier:
        lines.append("... and earlier ones: raise --limit, or begin with --since.")
    if found.next is not None:
        lines.append(f"... and more: go on with --after {found.next}.")
    return "\n".join(lines)
