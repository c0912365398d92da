"""Following the history: what is new, as it happens, whatever becomes of the connection meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from airflow_provider_partition_registry.cli.events import events_after
from airflow_provider_partition_registry.cli.output import tell
from airflow_provider_partition_registry.domain.errors import InvalidInputError, StoreUnavailableError
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.models import Event, GrainEvent
from airflow_provider_partition_registry.store.listening import back_off

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import Listener, RegistryReader

T = TypeVar("T")

LONGEST_BACK_OFF = 15.0  # seconds
LONGEST_PAUSE = 3600.0


class CursorType(click.ParamType):
    """A place in the history: a position, or a grain's cursor."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> GrainCursor:
        """Read a position, or the place among the grains of one event."""
        try:
            return GrainCursor.of(str(value))
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


class Events:
    """The events after a position; each time it is iterated over, those that are new."""

    def __init__(self, store: RegistryReader, source_name: str | None, after: int) -> None:
        self._store = store
        self._source_name = source_name
        self._after = after

    def __iter__(self) -> Iterator[Event]:
        for event in events_after(self._store, self._source_name, self._after):
            self._after = event.position
            yield event


class Grains:
    """The grains that became ready after a place in the history; each time it is iterated over, those that are new."""

    def __init__(
        self, store: RegistryReader, source_name: str, grain: str, timezone: str, after: GrainCursor
    ) -> None:
        self._read = partial(store.grain_events, source_name, grain, timezone)
        self._after = str(after)

    def __iter__(self) -> Iterator[GrainEvent]:
        is_more = True
        while is_more:
            page = self._read(after=self._after)
            yield from page.items
            self._after, is_more = page.reached, page.next is not None


def follow(store: RegistryReader, new: Iterable[T], poll_interval: float) -> Iterator[T]:
    """Whatever is new, as it happens, for ever."""
    failures = 0
    with contextlib.ExitStack() as listening:
        listener: Listener | None = None
        while True:
            try:
                if listener is None and (listener := store.open_listener()) is not None:
                    listening.enter_context(contextlib.closing(listener))
                yield from new
                failures = 0
                if listener is None:
                    time.sleep(poll_interval)
                else:
                    listener.wait(poll_interval)
            except StoreUnavailableError as error:
                listening.close()
                listener = None
                if not failures:
                    tell(f"{error} Trying again.")
                failures += 1
                time.sleep(min(back_off(failures), LONGEST_BACK_OFF))
