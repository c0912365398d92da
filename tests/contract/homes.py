"""Registries under test, and what the tests may do to them beyond the public contract."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
Span = tuple[datetime, datetime]


@dataclass
class ManualClock:
    """A clock that stands still until it is advanced."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        self.now += by
        return self.now


@dataclass
class Home:
    """A registry, and the clock that it uses.

    :param stored_ready_spans: reads the stored ready intervals, if the tests can access them.
    :param verify: returns what is wrong with the stored rows, if that can be found out.
    :param prune: removes what nobody can still ask for and happened before an instant, and tells how much that was.
    :param writer: the same registry, bypassing whatever the store itself goes through.
    :param interrupted: while it is entered, something happens between any two statements that the store sends.
    """

    store: RegistryStore
    clock: ManualClock = field(default_factory=ManualClock)
    stored_ready_spans: Callable[[str], list[Span]] | None = None
    verify: Callable[[], list[Any]] | None = None
    prune: Callable[[datetime], tuple[int, int]] | None = None
    writer: RegistryStore | None = None
    interrupted: Callable[[Callable[[], None]], AbstractContextManager[None]] | None = None


def hours(start: float, end: float) -> Interval:
    """``[start, end)`` in hours of one day."""
    return Interval(MIDNIGHT + timedelta(hours=start), MIDNIGHT + timedelta(hours=end))


def span_of(interval: Interval) -> Span:
    return interval.start, interval.end


def all_events(reader: RegistryReader, after: int = 0, source_name: str | None = None) -> list[Event]:
    """The history, page by page."""
    found: list[Event] = []
    while True:
        page = reader.events(after, source_name, limit=1000)
        found += page.items
        if page.next is None:
            return found
        after = int(page.next)
