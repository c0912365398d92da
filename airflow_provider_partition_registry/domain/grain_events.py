"""Whole grains that became ready: days, hours, ... of a source that the history tells of, each once per publication.

A grain became ready by an event if the event published or unblocked something in it, and left all of it ready.
Publishing a part of it again makes it ready again, as a new version. A lock that is given back without anything having
been written makes ready again what was ready before, which is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_partition_registry.domain.became_ready import freed_by, ready_after
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.grains import Grain, check_grain, interval_at, zone_named
from airflow_provider_partition_registry.domain.intervals import LATEST, Interval
from airflow_provider_partition_registry.domain.invalid_input import InvalidIntervalError
from airflow_provider_partition_registry.domain.models import Event, GrainEvent


@dataclass(frozen=True, slots=True)
class GrainFilter:
    """Which grains somebody wants to be told of.

    :param grain: "hour", "day", "week", "month", or a timedelta.
    :param timezone: the IANA name of the time zone in which a named grain begins.
    :raises InvalidInputError: no such grain or time zone.
    """

    grain: Grain
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_grain(self.grain)
        zone_named(self.timezone)

    def grains_made_ready(self, event: Event, begin: datetime) -> Iterator[Interval]:
        """The grains that an event made ready, in order, computed as they are taken: there may be millions.

        :param begin: leave out those that begin before.
        """
        for ready, shared in _shared(ready_after(event), freed_by(event)):
            if shared.end > begin:
                for grain in self._grains_inside(ready, max(shared.start, begin), shared.end):
                    yield grain
                    begin = grain.end

    def _grains_inside(self, whole: Interval, start: datetime, end: datetime) -> Iterator[Interval]:
        """The grains inside an interval that overlap a part of it."""
        grain = self._first_from(start)
        while grain is not None and grain.start < end and grain.end <= whole.end:
            if grain.start >= whole.start:
                yield grain
            grain = self._at(grain.end)

    def _first_from(self, instant: datetime) -> Interval | None:
        """The grain that contains an instant, or the next one if it begins before the year 1."""
        found = self._at(instant)
        if found is None:
            length = self.grain if isinstance(self.grain, timedelta) else timedelta(days=1)
            found = self._at(instant + length) if LATEST - instant > length else None
        return found

    def _at(self, instant: datetime) -> Interval | None:
        try:
            return interval_at(instant, self.grain, self.timezone)
        except InvalidIntervalError:
            return None

    @staticmethod
    def to_events(event: Event, grains: Iterator[Interval]) -> Iterator[GrainEvent]:
        """The grains that an event made ready as events of their own. The last one's cursor is the event's position."""
        assert event.source_name is not None
        grain = next(grains, None)
        while grain is not None:
            following = next(grains, None)
            reached = GrainCursor(event.position, LATEST if following is None else grain.end)
            yield GrainEvent(event.source_name, grain, event.position, event.at, str(reached))
            grain = following


def _shared(ready: Sequence[Interval], freed: Sequence[Interval]) -> Iterator[tuple[Interval, Interval]]:
    """What two lists of disjoint intervals, both in order, have in common, each part with the ready one around it."""
    first = 0
    for each in ready:
        while first < len(freed) and freed[first].end <= each.start:
            first += 1
        for place in range(first, len(freed)):
            shared = freed[place].intersection(each)
            if shared is None:
                break
            yield each, shared
