"""Events of the history: fetched page by page, and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.became_ready import EFFECTS
from airflow_provider_partition_registry.domain.intervals import format_ends, format_to_the_second
from airflow_provider_partition_registry.domain.models import Event, GrainEvent
from airflow_provider_partition_registry.store.paging import all_items

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryReader

HEADINGS = ("POSITION", "AT", "EVENT", "SOURCE", "PROVIDER", "INTERVAL", "GEN", "DETAILS")


def events_after(store: RegistryReader, source_name: str | None, begin: int) -> Iterator[Event]:
    """All events from a position on, fetched page by page as they are taken."""
    return all_items(lambda after, limit: store.events(begin if after is None else after, source_name, limit))


def event_row(event: Event) -> Sequence[str | None]:
    """The cells of one event, under :data:`HEADINGS`."""
    interval = event.interval
    return (
        str(event.position),
        format_to_the_second(event.at),
        event.type.value,
        event.source_name,
        event.provider_name,
        format_ends(interval) if interval else None,
        None if event.generation is None else str(event.generation),
        _details(event),
    )


def grain_row(grain: GrainEvent) -> Sequence[str]:
    """The cells of a grain that became ready. The first one is where to go on."""
    return grain.cursor, format_to_the_second(grain.at), grain.source_name, format_ends(grain.interval)


def _details(event: Event) -> str:
    holder = [f"by {event.holder}"] if event.holder else []
    return "; ".join(
        [*holder, *(f"{key}: {value}" for key, value in event.details.items() if key not in EFFECTS)]
    )
