"""Subscribing to a web service's changes by long polling."""

from __future__ import annotations

import time

from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.domain.models import WAKING_EVENTS
from airflow_provider_partition_registry.store.contract import Listener
from airflow_provider_partition_registry.store.http.client import Call, Client
from airflow_provider_partition_registry.store.wire.answers import (
    HEARD_HEADER,
    HEARD_NOTHING,
    FollowedPage,
    Position,
)


class HttpListener(Listener):
    """Follows the history from its present end.

    :raises StoreUnavailableError: the service does not respond, now or while waiting. A new listener has to be opened
        then; it does not report what happened in between.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard = HEARD_NOTHING
        self._position: int = client.call(Call("GET", "/events/last", Position)).position

    def wait(self, timeout: float) -> frozenset[str] | None:
        began = time.monotonic()
        params = {"after": self._position, "wait_seconds": timeout}
        headers = {HEARD_HEADER: self._heard}
        try:
            page: FollowedPage = self._client.call(
                Call("GET", "/events", FollowedPage, params, extra_time=timeout, headers=headers)
            )
        except InvalidInputError as error:
            # A backup was restored, and the history is shorter than it was.
            raise StoreUnavailableError(f"The place in the history is lost: {error.message}") from error
        if page.items:
            self._position = page.items[-1].position
            waking = (event.source_name for event in page.items if event.type in WAKING_EVENTS)
            return frozenset(filter(None, waking)) or None
        if page.heard is not None:
            self._heard = page.heard
            return frozenset(page.changed_sources or ())
        # Services of former versions say only by the time of their answer that something happened, and not where.
        return frozenset() if time.monotonic() - began < timeout else None

    def close(self) -> None:
        """Nothing is kept open between two requests."""
