"""The history as it grows, for everybody who follows it: read once per process, however many follow."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from itertools import takewhile
from typing import Any, TypeVar

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.base import RegistryStore
from airflow_provider_partition_registry.store.watch import back_off, listen

T = TypeVar("T")

REMEMBERED = 10_000  # events; whoever follows closely is served without the database
PAGE = 1_000
POLL_INTERVAL = 1.0  # seconds between two looks, where nothing tells of changes or the news were lost


class Feed:
    """Reads what is new in the history, once for all.

    :param store: used from threads.
    """

    def __init__(self, store: RegistryStore) -> None:
        self._store = store
        self._recent: deque[Event] = deque(maxlen=REMEMBERED)
        self._position = 0
        self._known_from = 0  # what came after this position is remembered
        self._hint = asyncio.Event()
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled; a store that is down is waited for."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        listener = loop.run_in_executor(
            None, listen, self._store, stop, loop, lambda _sources: self._hint.set()
        )
        try:
            self._position = self._known_from = await self._patiently(self._store.last_position)
            while True:
                await self._read()
                self._hint.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hint.wait(), POLL_INTERVAL)
        finally:
            stop.set()
            listener.cancel()

    async def follow(self, after: int, source_name: str | None = None) -> AsyncGenerator[list[Event], None]:
        """Yield the events after a position as they come, some at a time. It never ends by itself.

        :raises InvalidInputError: the history has never reached that position.
        :raises UnknownSourceError: no such source.
        """
        while True:
            if after < self._known_from:
                known = self._position
                page = await asyncio.to_thread(self._store.events, after, source_name, PAGE)
                found = list(page.items)
                after = (
                    found[-1].position if page.next is not None else max([after, known, *_positions(found)])
                )
            else:
                await self._wait_beyond(after)
                newest_first = takewhile(lambda event: event.position > after, reversed(self._recent))  # noqa: B023
                found = [each for each in newest_first if source_name in (None, each.source_name)][::-1]
                after = self._position
            if found:
                yield found

    async def _read(self) -> None:
        while True:
            page = await self._patiently(self._store.events, self._position, None, PAGE)
            if page.items:
                self._remember(page.items)
            if page.next is None:
                return

    def _remember(self, events: tuple[Event, ...]) -> None:
        overflow = len(self._recent) + len(events) - REMEMBERED
        if overflow > 0:
            self._known_from = self._recent[overflow - 1].position
        self._recent.extend(events)
        self._position = events[-1].position
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _wait_beyond(self, position: int) -> None:
        while self._position <= position:
            await self._grown.wait()

    async def _patiently(self, ask: Callable[..., T], *arguments: Any) -> T:
        failures = 0
        while True:
            try:
                return await asyncio.to_thread(ask, *arguments)
            except StoreUnavailableError:
                failures += 1
                await asyncio.sleep(back_off(failures))


def _positions(events: list[Event]) -> list[int]:
    return [event.position for event in events]
