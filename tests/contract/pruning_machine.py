"""Random histories that are pruned at random moments: nothing that is the case changes, and nobody misses anything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from airflow_provider_partition_registry.domain.errors import PrunedPositionError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event
from tests.contract.homes import Home, all_events
from tests.contract.machine import GRID, RegistryMachine, intervals, sources
from tests.oracle import Key

ages = st.sampled_from((0, 1, 30, 61, 90))


class PruningMachine(RegistryMachine):
    """Between the steps of any history, its past is pruned."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.former: list[tuple[Key, int]] = []

    @rule(minutes=ages)
    def prune(self, minutes: int) -> None:
        """Compare with what the oracle removes; the invariants, and ``verify``, compare everything that is left."""
        assert self.home.prune
        self.history_agrees()  # see all events before some of them are gone
        self.what_became_ready_agrees()
        before = self.clock.now - timedelta(minutes=minutes)
        was = self.answers()
        self.home.prune(before)
        self.former += [(each.key, each.generation) for each in self.oracle.prune(before)]
        assert self.answers() == was
        assert self.home.prune(before) == (0, 0), "once is enough"
        for source in self.oracle.sources:
            self.look_back(source)

    @rule(source=sources, interval=intervals, minutes=ages)
    def supersede(self, source: str, interval: Interval, minutes: int) -> None:
        """One provider publishes over what another one has, and later that is pruned."""
        for provider in ("p1", "p0"):
            self.rewrite(source, provider, interval)
            self.clock.advance(timedelta(minutes=30))
        self.prune(minutes)

    @rule(data=st.data(), verb=st.sampled_from(("unlock", "release")))
    def come_back(self, data: st.DataObject, verb: str) -> None:
        """A writer of a partition that was pruned, and perhaps registered anew, is none any more."""
        if self.former:
            key, generation = data.draw(st.sampled_from(self.former))
            interval = next(each for each in GRID if (each.start, each.end) == key[2])
            self.finish(key, interval, verb, generation=generation)

    def answers(self) -> list[Any]:
        """What anybody may ask about the present, apart from what the invariants ask."""
        return [
            (
                *(self.store.check_readiness(source, each) for each in GRID),
                *(self.store.changed_since(source, each, self.store.last_position()) for each in GRID),
                # Its extent ends where the partition ends that begins last, which may have been a superseded one.
                replace(self.store.get_overview(source), extent=None),
                self.store.list_providers(source),
            )
            for source in self.oracle.sources
        ]

    def look_back(self, source: str) -> None:
        """From wherever somebody follows, all is there, or that is refused; and backwards it is said that it is not."""
        seen = [each for each in self.seen if each.source_name == source]
        for number in range(0, len(seen), max(1, len(seen) // 4)):
            with suppress(PrunedPositionError):
                assert all_events(self.store, seen[number].position, source) == seen[number + 1 :]
        page = self.store.latest_events(source, limit=1000)
        assert page.next is None
        assert set(map(_place, page.items)) <= set(map(_place, seen))
        assert (page.pruned_before is None) == (len(page.items) == len(seen))


def _place(event: Event) -> tuple[int, str]:
    return event.position, event.type.value
