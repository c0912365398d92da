"""Following and reading the history behind a web service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, GrainPage, HistoryPage, Page
from airflow_provider_partition_registry.domain.names import check_limit, check_name, check_number
from airflow_provider_partition_registry.store.http import arguments
from airflow_provider_partition_registry.store.http.client import Call, Client
from airflow_provider_partition_registry.store.wire.answers import Changed, Position

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.grains import Grain


class HttpHistoryReader:
    """Reads events, and what they tell.

    :param client: for the service.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def changed_since(self, source_name: str, interval: Interval, as_of: int) -> bool:
        params = {
            "source_name": check_name("source name", source_name),
            **arguments.ends(interval),
            "as_of": check_number("position", as_of),
        }
        changed: Changed = self._client.call(Call("GET", "/changed-since", Changed, params))
        return changed.is_changed

    def events(self, after: int = 0, source_name: str | None = None, limit: int = 1000) -> Page[Event]:
        params = {
            "source_name": arguments.optional_name("source name", source_name),
            "after": check_number("position", after),
            "limit": check_limit(limit),
        }
        return self._client.call(Call("GET", "/events", Page[Event], params))

    def grain_events(
        self,
        source_name: str,
        grain: Grain,
        timezone: str = "UTC",
        *,
        after: int | str = 0,
        limit: int = 1000,
    ) -> GrainPage:
        params = {
            "source_name": check_name("source name", source_name),
            **arguments.of_grain(grain, timezone),
            "after": str(GrainCursor.of(after)),
            "limit": check_limit(limit),
        }
        return self._client.call(Call("GET", "/events/grains", GrainPage, params))

    def latest_events(self, source_name: str, before: int | None = None, limit: int = 100) -> HistoryPage:
        params = {
            "source_name": check_name("source name", source_name),
            "before": None if before is None else check_number("position", before),
            "limit": check_limit(limit),
        }
        return self._client.call(Call("GET", "/events/latest", HistoryPage, params))

    def last_position(self) -> int:
        return self._client.call(Call("GET", "/events/last", Position)).position
