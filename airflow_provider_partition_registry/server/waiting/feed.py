"""Fan-out of the history to its subscribers: it is read once per process, however many follow it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator
from itertools import takewhile

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import Event, Page
from airflow_provider_partition_registry.server.observing.metrics import count_store_error
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.listening import back_off, start_listening

log = logging.getLogger(__name__)

REMEMBERED = 10_000  # events; whoever follows closely is served without the database
PAGE = 1_000
POLL_INTERVAL = 1.0  # seconds between two looks, where nothing tells of changes or the news were lost
LONGEST_BACK_OFF = 5.0  # seconds between two looks while the store is in trouble


class Feed:
    """Reads what is new in the history, once for all.

    It remembers the newest events: all those after ``_known_from``, up to ``_position``. Both are None until it has
    found out where the history ends, and again when the history turns out to be another one, from a backup.

    :param store: used from threads.
    """

    def __init__(self, store: RegistryStore) -> None:
        self._store = store
        self._recent: deque[Event] = deque()
        self._known_from: int | None = None
        self._position: int | None = None
        self._restorations = 0
        self._hint = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled; a store in trouble is waited for."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        start_listening(self._store, stop, lambda _names: loop.call_soon_threadsafe(self._hint.set))
        failures = 0
        try:
            while True:
                # Before the look: of what is told from here on it may not see everything.
                self._hint.clear()
                try:
                    await self._look()
                    failures, pause = 0, POLL_INTERVAL
                except Exception as error:
                    failures += 1
                    pause = min(back_off(failures), LONGEST_BACK_OFF)
                    count_store_error(error)
                    log.warning("The history cannot be read, trying again: %s", error)
                # Not wait_for: up to Python 3.11 it forgets that it was cancelled if the hint comes just then.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hint.wait()
        finally:
            stop.set()

    async def follow(self, after: int, source_name: str | None = None) -> AsyncGenerator[list[Event], None]:
        """Yield the events after a position as they come, some at a time. It never ends by itself.

        :raises InvalidInputError: the history has never reached that position.
        :raises UnknownSourceError: no such source.
        :raises StoreUnavailableError: what the feed does not remember cannot be read.
        """
        restorations = self._restorations
        while True:
            # Taken before anything is looked at: what comes while we look sets this one.
            changed = self._changed
            end = self._position
            if restorations == self._restorations and self._remembers(after):
                found = self._remembered(after, source_name)
            else:
                restorations = self._restorations
                page = await asyncio.to_thread(self._store.events, after, source_name, PAGE)
                found = list(page.items)
                end = _end_of(page, end)
            is_up_to_date = end is None or end <= after
            after = after if end is None else max(after, end)
            if found:
                yield found
            elif is_up_to_date:
                await changed.wait()

    async def _look(self) -> None:
        if self._position is None:
            self._known_from = self._position = await asyncio.to_thread(self._store.last_position)
            self._tell()
        try:
            while await self._read_page():
                pass
        except InvalidInputError:
            self._forget()
            raise

    async def _read_page(self) -> bool:
        """Whether there is more."""
        assert self._position is not None
        page = await asyncio.to_thread(self._store.events, self._position, None, PAGE)
        if page.items:
            self._recent.extend(page.items)
            while len(self._recent) > REMEMBERED:
                self._known_from = self._recent.popleft().position
            self._position = page.items[-1].position
            self._tell()
        return page.next is not None

    def _forget(self) -> None:
        """The history ends before what was read of it: a backup was restored. Who follows it has to be told."""
        self._recent.clear()
        self._known_from = self._position = None
        self._restorations += 1
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _remembers(self, after: int) -> bool:
        return self._known_from is not None and self._known_from <= after

    def _remembered(self, after: int, source_name: str | None) -> list[Event]:
        newest_first = takewhile(lambda event: event.position > after, reversed(self._recent))
        return [each for each in newest_first if source_name in (None, each.source_name)][::-1]


def _end_of(page: Page[Event], known: int | None) -> int | None:
    """How far a page of the history reaches.

    :param known: where the history of all sources ended, for all one knew before the page was read.
    """
    last = page.items[-1].position if page.items else None
    if page.next is not None or known is None:
        return last
    return known if last is None else max(last, known)
