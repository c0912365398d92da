"""The facts of a soak, from which the verdict and the picture follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

from airflow_provider_partition_registry.domain.models import Event, EventType
from airflow_provider_partition_registry.store.contract import RegistryReader
from soak.accidents import Accident
from soak.journal import Arrival, EndedWait, Presence, Publication, Record, Surprise
from soak.plan import Plan, number_of
from soak.sampling import Sample

R = TypeVar("R", bound=Record)

PAGE = 1000


class HistoryLine(NamedTuple):
    """An event, as the registry's history has it in the end."""

    position: int
    source_name: str | None
    is_publication: bool
    number: int | None
    generation: int | None


class Latency(NamedTuple):
    """How long something took, about a partition of a source.

    :param at: when it was published, in seconds after the beginning.
    """

    at: float
    source: int
    milliseconds: float


@dataclass(frozen=True)
class Facts:
    """What happened.

    :param start: when the plan began; this and all other times are on the machine's monotonic clock, in seconds.
    :param received: the positions that each stream received, in the order in which they came.
    :param discrepancies: what ``db verify`` found in the end.
    """

    plan: Plan
    start: float
    records: Sequence[Record]
    accidents: Sequence[Accident]
    samples: Sequence[Sample]
    history: Sequence[HistoryLine]
    received: Sequence[Sequence[int]]
    discrepancies: Sequence[str] = field(default=())

    @cached_property
    def publications(self) -> dict[tuple[int, int], Publication]:
        """By source and number."""
        return {(each.source, each.number): each for each in self._of(Publication)}

    @cached_property
    def waits(self) -> list[EndedWait]:
        """Those that ended."""
        return self._of(EndedWait)

    @cached_property
    def arrivals(self) -> list[Arrival]:
        """On the streams that are timed."""
        return self._of(Arrival)

    @cached_property
    def presences(self) -> list[Presence]:
        """Of triggers and streams."""
        return self._of(Presence)

    @cached_property
    def surprises(self) -> list[Surprise]:
        """What must not happen."""
        return self._of(Surprise)

    @cached_property
    def latencies(self) -> dict[str, list[Latency]]:
        """How long everything took, by what it was."""
        found: dict[str, list[Latency]] = {}
        for each in self.publications.values():
            way = f"lock + unlock, {each.way}"
            self._add(found, way, each, each.lock_sent, each.published)
        for wait in self.waits:
            if publication := self.publications.get((wait.source, wait.number)):
                began = max(wait.began, publication.published)
                self._add(found, f"wait, {wait.way}", publication, began, wait.ended)
        for arrival in self.arrivals:
            if publication := self.publications.get((arrival.source, arrival.number)):
                what = "stream of all sources" if arrival.follows_all else "stream of one source"
                self._add(found, what, publication, publication.published, arrival.at)
        return found

    def _of(self, kind: type[R]) -> list[R]:
        return [each for each in self.records if isinstance(each, kind)]

    def _add(
        self,
        found: dict[str, list[Latency]],
        what: str,
        publication: Publication,
        began: float,
        ended: float,
    ) -> None:
        # What is told before the writer has read its acknowledgement took no time.
        took = max(0.0, ended - began) * 1000
        found.setdefault(what, []).append(
            Latency(publication.published - self.start, publication.source, took)
        )


def history_of(store: RegistryReader, after: int) -> list[HistoryLine]:
    """Read the history after a position."""
    found: list[HistoryLine] = []
    while page := store.events(found[-1].position if found else after, None, PAGE).items:
        found += map(_line, page)
    return found


def expected_on(source_name: str | None, history: Iterable[HistoryLine]) -> list[int]:
    """The positions that a stream of a source must receive, or of all sources."""
    return [each.position for each in history if source_name in (None, each.source_name)]


def _line(event: Event) -> HistoryLine:
    return HistoryLine(
        event.position,
        event.source_name,
        event.type is EventType.UNLOCK,
        None if event.interval is None else number_of(event.interval.start),
        event.generation,
    )
