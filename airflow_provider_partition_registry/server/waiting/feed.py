"""Fan-out of the history to its subscribers: each process reads it once, however many subscribers it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile

from airflow_provider_partition_registry.domain.errors import GonePositionError, InvalidInputError
from airflow_provider_partition_registry.domain.models import Event, Page
from airflow_provider_partition_registry.server.observing.metrics import count_store_error
from airflow_provider_partition_registry.server.waiting.hints import Hints
from airflow_provider_partition_registry.store.contract import RegistryDatabase
from airflow_provider_partition_registry.store.listening import back_off, start_listening

log = logging.getLogger(__name__)

REMEMBERED = 10_000  # events; subscribers that are this close to the end are served without the database
PAGE = 1_000
POLL_INTERVAL = 1.0  # seconds between two reads, if there are no notifications or they were lost
BRIEFLY = 0.05  # seconds; most writers that hold the history back have committed by then
LONGEST_BACK_OFF = 5.0  # seconds between two reads while the store is in trouble


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What was read last of a source beyond the position: everything after a position, up to the last of the events."""

    after: int
    events: Sequence[Event]


class Feed:
    """Reads new events once for all subscribers.

    It remembers the newest events: those after ``_known_from``, up to ``_position``. Both are None until it has read
    where the history ends, and again if a backup was restored and the history is therefore a different one. While a
    slow writer of one source holds the history of all sources back, it also looks what other sources that are being
    followed have beyond ``_position``: in those that it hears of, and from time to time in all, as what cannot end a
    wait is not notified. Of each it remembers what it read last, which its followers take at once; who comes later
    reads for itself.

    :param store: used from threads.
    """

    def __init__(self, store: RegistryDatabase) -> None:
        self._store = store
        self._recent: deque[Event] = deque()
        self._known_from: int | None = None
        self._position: int | None = None
        self._restorations = 0
        self._followed: Counter[str] = Counter()
        self._ahead: dict[str, _Ahead] = {}  # by source
        self.hints = Hints()
        """What it has heard of since the history could last be read to its end."""
        self._looked_up_to = 0  # that hint, in the sources that it concerns
        self._is_held_back = False
        self._moved_at = self._looked_everywhere_at = -math.inf
        self._hint = asyncio.Event()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled, and retry while the store is in trouble."""
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        start_listening(self._store, stop, lambda names: loop.call_soon_threadsafe(self._hear, names))
        failures = 0
        try:
            while True:
                # Cleared before reading, as the read may miss what is announced from here on.
                self._hint.clear()
                try:
                    pause = await self._look()
                    failures = 0
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

    async def follow(
        self, after: int, source_name: str | None = None, heard: float = math.inf
    ) -> AsyncGenerator[list[Event], None]:
        """Yield the events after a position as they come, several at a time. It never ends by itself.

        :param heard: for those who follow all sources. While a slow writer holds the history back, they get an empty
            list when there are hints after this one; without it they wait until there are events.
        :raises InvalidInputError: the history has not reached that position.
        :raises GonePositionError: it does not hold that position any more.
        :raises UnknownSourceError: no such source.
        :raises StoreUnavailableError: events that the feed does not remember cannot be read.
        """
        with self._following(source_name):
            async with contextlib.aclosing(self._follow(after, source_name, heard)) as found:
                async for events in found:
                    yield events

    async def _follow(
        self, after: int, source_name: str | None, heard: float
    ) -> AsyncGenerator[list[Event], None]:
        restorations = self._restorations
        while True:
            # Taken before reading anything: events that arrive meanwhile set this one.
            changed = self._changed
            end = self._position
            if restorations == self._restorations and self._remembers(after, source_name):
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
            elif is_up_to_date and source_name is None and self._hides_what_came_after(heard):
                heard = self.hints.newest
                yield []
            elif is_up_to_date:
                await changed.wait()

    def _hides_what_came_after(self, hint: float) -> bool:
        return self._is_held_back and self.hints.since(hint) is not None

    def _hear(self, source_names: frozenset[str]) -> None:
        self.hints.add(source_names)
        self._hint.set()

    async def _look(self) -> float:
        """Read what is new. Returns how long to wait for a hint before the next look (seconds)."""
        if self._position is None:
            self._known_from = self._position = await asyncio.to_thread(self._store.last_position)
            self._tell()
        try:
            heard = self.hints.newest
            is_settled = await asyncio.to_thread(self._store.is_settled)
            if is_settled:  # What came while that was asked may be behind a writer that came as well.
                self.hints.forget(heard)
            before = self._position
            while await self._read_page():
                pass
            if is_settled or self._position != before:
                self._moved_at = time.monotonic()
            return await self._after_reading(is_settled)
        except (InvalidInputError, GonePositionError):
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

    async def _after_reading(self, is_settled: bool) -> float:
        """Look ahead if need be. Returns how long to wait for a hint before the next look (seconds).

        :param is_settled: whether nobody held the history back when it was read.
        """
        was_held_back = self._is_held_back
        self._is_held_back = not is_settled and time.monotonic() - self._moved_at >= BRIEFLY
        if self._is_held_back:
            await self._look_ahead(is_first=not was_held_back)
            return POLL_INTERVAL
        self._ahead.clear()
        return POLL_INTERVAL if is_settled else BRIEFLY

    async def _look_ahead(self, *, is_first: bool) -> None:
        """Read what sources that are being followed have beyond the position, as somebody holds it back."""
        heard = self.hints.since(self._looked_up_to)
        self._looked_up_to = self.hints.newest
        if is_first or heard is not None:
            self._tell()
        now = time.monotonic()
        if heard == frozenset() or now - self._looked_everywhere_at >= POLL_INTERVAL:
            self._looked_everywhere_at = now
            moved = await self._followed_that_moved()
        else:
            moved = (heard or frozenset()) & self._followed.keys()
        for name in moved:
            await self._look_ahead_in(name)

    async def _followed_that_moved(self) -> Set[str]:
        """The sources that are being followed and have events that were not read, whether or not it heard of them."""
        followed = frozenset(self._followed)
        if not followed:
            return followed
        latest = await asyncio.to_thread(self._store.latest_positions, followed)
        return {name for name, position in latest.items() if position > self._known_of(name)}

    async def _look_ahead_in(self, source_name: str) -> None:
        is_more = True
        while is_more:
            known = self._known_of(source_name)
            page = await asyncio.to_thread(self._store.events, known, source_name, PAGE)
            if page.items:
                self._ahead[source_name] = _Ahead(known, page.items)
                self._tell()
            is_more = page.next is not None

    def _known_of(self, source_name: str) -> int:
        """Up to where everything of a source has been read."""
        ahead = self._ahead.get(source_name)
        return ahead.events[-1].position if ahead else self._position or 0

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

    def _remembers(self, after: int, source_name: str | None) -> bool:
        if self._known_from is None or self._known_from > after:
            return False
        ahead = self._ahead.get(source_name or "")
        return ahead is None or ahead.after <= max(after, self._position or 0)

    def _remembered(self, after: int, source_name: str | None) -> list[Event]:
        newest_first = takewhile(lambda event: event.position > after, reversed(self._recent))
        settled = [each for each in newest_first if source_name in (None, each.source_name)][::-1]
        ahead = self._ahead.get(source_name or "")
        beyond = ahead.events if ahead else ()
        return settled + [each for each in beyond if each.position > max(after, self._position or 0)]


def _end_of(page: Page[Event], known: int | None) -> int | None:
    """How far a page of the history reaches.

    :param known: where the history of all sources ended before the page was read, if known.
    """
    last = page.items[-1].position if page.items else None
    if page.next is not None or known is None:
        return last
    return known if last is None else max(last, known)
