"""Reading from the history which whole grains became ready."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.became_ready import FREEING_EVENTS, is_news_since
from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, EventType, GrainEvent, GrainPage, Page
from airflow_provider_partition_registry.domain.names import check_limit, check_name
from airflow_provider_partition_registry.store.paging import all_items
from airflow_provider_partition_registry.store.sql.history_reader import HistoryReader
from airflow_provider_partition_registry.store.sql.schema.tables import event, source
from airflow_provider_partition_registry.store.sql.statements.events import is_one_of, newest_first
from airflow_provider_partition_registry.store.sql.statements.lists import id_of
from airflow_provider_partition_registry.store.sql.statements.positions import latest_positions
from airflow_provider_partition_registry.store.sql.statements.rows import to_event

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grain_events import GrainFilter
    from airflow_provider_partition_registry.domain.grains import Grain

EVENTS_AT_ONCE = 1_000
WRITES_AT_ONCE = 50  # what ends the search is mostly the very lock that was given back
GRAINS_AT_ONCE = 1_000


class GrainReader(HistoryReader):
    """Derives the grains that became ready from what the history tells (R9)."""

    def grain_events(
        self,
        source_name: str,
        grain: Grain,
        timezone: str = "UTC",
        *,
        after: int | str = 0,
        limit: int = 1000,
    ) -> GrainPage:
        # Imported late, as time zones take long to import.
        from airflow_provider_partition_registry.domain.grain_events import GrainFilter

        wanted, begin = GrainFilter(grain, timezone), GrainCursor.of(after)
        check_limit(limit)
        newest = self._newest_position(source_name)  # Read first: what comes later is not in it.
        page = self._events(begin.last_whole, source_name, EVENTS_AT_ONCE, is_one_of(FREEING_EVENTS))
        found: list[GrainEvent] = []
        for each in page.items:
            for told in self.grains_made_ready(each, wanted, begin.begins_in(each.position)):
                if len(found) == limit:
                    return GrainPage(tuple(found), found[-1].cursor, found[-1].cursor)
                found.append(told)
        last = GrainCursor(page.items[-1].position) if page.items else begin
        if page.next is not None:
            return GrainPage(tuple(found), str(last), str(last))
        return GrainPage(tuple(found), None, str(max(last, GrainCursor(newest))))

    def grains_made_ready(self, event: Event, wanted: GrainFilter, begin: datetime) -> Iterator[GrainEvent]:
        """See :meth:`~..contract.RegistryDatabase.grains_made_ready`."""
        grains = wanted.grains_made_ready(event, begin)
        if event.type is EventType.RELEASE:
            grains = self._news_of_release(event, grains)
        return wanted.to_events(event, grains)

    def _newest_position(self, source_name: str) -> int:
        check_name("source name", source_name)
        positions = self._read(lambda connection: latest_positions(connection, [source_name]))
        if source_name not in positions:
            raise UnknownSourceError(source_name)
        return positions[source_name]

    def _news_of_release(self, release: Event, grains: Iterator[Interval]) -> Iterator[Interval]:
        """Those grains, made ready by a release, in which something was published since they were ready before."""
        while some := list(islice(grains, GRAINS_AT_ONCE)):
            yield from self._published_before(release, some)

    def _published_before(self, release: Event, grains: list[Interval]) -> list[Interval]:
        undecided = grains
        news: list[Interval] = []
        for earlier in self._writes_before(release):
            verdicts = [(each, is_news_since(earlier, each)) for each in undecided]
            news += [each for each, is_news in verdicts if is_news]
            undecided = [each for each, is_news in verdicts if is_news is None]
            if not undecided:
                break
        # Of these the history does not say any more whether they were ready before: better told twice than never.
        return sorted([*news, *undecided])

    def _writes_before(self, release: Event) -> Iterator[Event]:
        """The locks of the source and what ended them, before a release, the newest first."""
        assert release.source_name is not None
        statement = newest_first(id_of(source, release.source_name)).where(
            is_one_of(FREEING_EVENTS | {EventType.LOCK})
        )

        def page(after: int | None, limit: int) -> Page[Event]:
            before = release.position if after is None else after
            earlier = statement.where(event.c.position < before)
            return self._page(earlier, limit, to_event, lambda found: found.position)

        return all_items(page, size=WRITES_AT_ONCE)
