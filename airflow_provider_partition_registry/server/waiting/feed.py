"""Fan-out of the history to its subscribers: each process reads it once, however many subscribers it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from itertools import takewhile

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import Event, Page
from airflow_provider_partition_registry.server.observing.metrics import count_store_error
from airflow_provider_partition_registry.store.contract import RegistryDatabase
from airflow_provider_partition_registry.store.listening import back_off, start_listening

log = logging.getLogger(__name__)

REMEMBERED = 10_000  # events; subscribers that are this close to the end are served without the database
PAGE = 1_000
POLL_INTERVAL = 1.0  # seconds between two reads, if there are no notifications or they were lost
LONGEST_BACK_OFF = 5.0  # seconds between two reads while the store is in trouble


class Feed:
    """Reads new events once for all subscribers.

    It remembers the newest events: those after ``_known_from``, up to ``_position``. Both are None until it has read
    where the history ends, and again if a backup was restored and the history is therefore a different one. While a
    slow writer of one source holds the history of all sources back, it also remembers what other sources that are being
    followed have beyond ``_position``.

    :param store: used from threads.
    """

    def __init__(self, store: RegistryDatabase) -> None:
        self._store = store
        self._recent: deque[Event] = deque()
        self._known_from: int | None = None
        self._position: int | None = None
        self._restorations = 0
        self._followed: Counter[str] = Counter()
        self._ahead: dict[str, list[Event]] = {}  # by source
        self._hint = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled, and retry while the store is in trouble."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        start_listening(self._store, stop, lambda _names: loop.call_soon_threadsafe(self._hint.set))
        failures = 0
        try:
            while True:
                # Cleared before reading, as the read may miss what is announced from here on.
                self._hint.clear()
                try:
                    await self._look()
                    failures, pause = 0, POLL_INTERVAL
                except Exception as error:
                    failures += 1
                    pause = min(back_off(failures), LONGEST_BACK_OFF)
                    count_store_error(error)
                    log.warning("The history cannot be read, trying again: %s", error)
                # Not wait_for: up to Python 3.11 it loses a cancellation if the hint arrives at the same moment.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hint.wait()
        finally:
            stop.set()

    async def follow(self, after: int, source_name: str | None = None) -> AsyncGenerator[list[Event], None]:
        """Yield the events after a position as they come, several at a time. It never ends by itself.

        :raises InvalidInputError: the history has not reached that position.
        :raises UnknownSourceError: no such source.
        :raises StoreUnavailableError: events that the feed does not remember cannot be read.
        """
        with self._following(source_name):
            async with contextlib.aclosing(self._follow(after, source_name)) as found:
                async for events in found:
                    yield events

    async def _follow(self, after: int, source_name: str | None) -> AsyncGenerator[list[Event], None]:
        restorations = self._restorations
        while True:
            # Taken before reading anything: events that arrive meanwhile set this one.
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
            after = max(after, end or 0, found[-1].position if found else 0)
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
            await self._look_ahead()
        except InvalidInputError:
            self._forget()
            raise

    async def _read_page(self) -> bool:
        """Read one page. Returns whether there is more."""
        assert self._position is not None
        page = await asyncio.to_thread(self._store.events, self._position, None, PAGE)
        if page.items:
            self._recent.extend(page.items)
            while len(self._recent) > REMEMBERED:
                self._known_from = self._recent.popleft().position
            self._position = page.items[-1].position
            self._tell()
        return page.next is not None

    async def _look_ahead(self) -> None:
        """Read what sources that are being followed have beyond the position, if others hold it back."""
        assert self._position is not None
        ahead: dict[str, list[Event]] = {}
        followed = tuple(self._followed)
        if followed and not await asyncio.to_thread(self._store.is_settled):
            for name in followed:
                ahead[name] = await asyncio.to_thread(self._read_ahead, name, self._position)
        if ahead != self._ahead:
            self._ahead = ahead
            self._tell()

    def _read_ahead(self, source_name: str, after: int) -> list[Event]:
        found: list[Event] = []
        while len(found) < REMEMBERED:
            page = self._store.events(found[-1].position if found else after, source_name, PAGE)
            found += page.items
            if page.next is None:
                break
        return found

    @contextlib.contextmanager
    def _following(self, source_name: str | None) -> Iterator[None]:
        names = Counter(() if source_name is None else (source_name,))
        self._followed += names
        try:
            yield
        finally:
            self._followed -= names

    def _forget(self) -> None:
        """Forget everything, as a restored backup made the history shorter. Its subscribers get an error."""
        self._recent.clear()
        self._ahead = {}
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
        settled = [each for each in newest_first if source_name in (None, each.source_name)][::-1]
        beyond = max(after, self._position or 0)
        return settled + [each for each in self._ahead.get(source_name or "", ()) if each.position > beyond]


def _end_of(page: Page[Event], known: int | None) -> int | None:
    """How far a page of the history reaches.

    :param known: where the history of all sources ended before the page was read, if known.
    """
    last = page.items[-1].position if page.items else None
    if page.next is not None or known is None:
        return last
    return known if last is None else max(last, known)
