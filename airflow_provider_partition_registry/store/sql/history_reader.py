"""Reading the history."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.sql import ColumnElement

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval, check_interval
from airflow_provider_partition_registry.domain.models import Event, HistoryPage, Page
from airflow_provider_partition_registry.domain.names import check_name, check_number
from airflow_provider_partition_registry.store.sql.querying import Querying
from airflow_provider_partition_registry.store.sql.schema.tables import event, pruning, source
from airflow_provider_partition_registry.store.sql.statements.events import EVENTS, has_changed, newest_first
from airflow_provider_partition_registry.store.sql.statements.lists import id_of
from airflow_provider_partition_registry.store.sql.statements.positions import (
    is_lost,
    is_pruned,
    require_position,
    settled_position,
)
from airflow_provider_partition_registry.store.sql.statements.rows import to_event


class HistoryReader(Querying):
    """Reads events, and what they tell."""

    def changed_since(self, source_name: str, interval: Interval, as_of: int) -> bool:
        check_interval(interval)
        check_number("position", as_of)
        row = self._first(has_changed(check_name("source name", source_name), interval, as_of))
        if row is None:
            raise UnknownSourceError(source_name)
        return bool(row.is_changed)

    def events(self, after: int = 0, source_name: str | None = None, limit: int = 1000) -> Page[Event]:
        return self._events(after, source_name, limit)

    def _events(
        self, after: int, source_name: str | None, limit: int, *conditions: ColumnElement
    ) -> Page[Event]:
        check_number("position", after)
        its_id = None
        if source_name is not None:
            its_id = id_of(source, check_name("source name", source_name))
        statement = EVENTS.where(
            event.c.position > after,
            event.c.source_id == its_id if its_id is not None else event.c.position <= self.last_position(),
            ~is_lost(after),
            ~is_pruned(after, its_id),
            *conditions,
        ).order_by(event.c.position)
        page = self._page(statement, limit, to_event, lambda found: found.position)
        if not page.items:
            if source_name is not None:
                self.get_source(source_name)  # raises if it does not exist
            self._read(lambda connection: require_position(connection, after, its_id))
        return page

    def latest_events(self, source_name: str, before: int | None = None, limit: int = 100) -> HistoryPage:
        source_id = id_of(source, check_name("source name", source_name))
        statement = newest_first(source_id)
        if before is not None:
            statement = statement.where(event.c.position < check_number("position", before))
        # Looked up after the events: what is removed in between is then told as well.
        page = self._of_source(
            source_name, self._page(statement, limit, to_event, lambda found: found.position)
        )
        pruned = self._first(select(pruning).where(pruning.c.source_id == source_id))
        is_whole = pruned is None or (page.next is not None and page.items[-1].position > pruned.pruned_to)
        return HistoryPage(page.items, page.next, None if is_whole else pruned.pruned_before)

    def last_position(self) -> int:
        return self._read(settled_position)
