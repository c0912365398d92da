"""Polling once for many waiters: how triggers wait for readiness at almost no cost.

All waiters of one registry in one event loop share a :class:`Poller`. Per tick it sends one batch of questions from a
private thread: one about each source, which tells whether anything happened there. If so, it asks for those who wait
for that source, and for nobody else. A listener, where the store has one, tells it earlier for which sources to ask.
The answers always come from the store: a notification only says when to ask. A store that is down is asked again with
exponential back-off and jitter.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.store_errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.waiting import are_ready
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS, RegistryReader
from airflow_provider_partition_registry.store.listening import back_off, start_listening
from airflow_provider_partition_registry.store.waiters import News, Positions, Waiter, Waiters

T = TypeVar("T")

SHORTEST_PAUSE = 0.02  # seconds after an answer before the next question: a burst of notifications causes one
EXPLANATION_PAUSE = 2.0  # seconds between two explanations; they cost far more than the mere answer
TOLD_AT_ONCE = 50  # waiters; waking a crowd all at once would block the event loop for everybody else


class Poller:
    """Answers all waiters of one registry in one event loop.

    :param open_reader: opens the registry; called in a private thread whenever there are waiters again.
    :param explains: tell waiters why something is not ready, and not only that it is not, unless they say otherwise.
    :param notified_interval: seconds between two questions about everything at least, while the store notifies of
        every change.
    """

    def __init__(
        self,
        open_reader: Callable[[], RegistryReader],
        *,
        explains: bool = True,
        notified_interval: float = 0.0,
    ) -> None:
        self._open_reader = open_reader
        self._explains = explains
        self._notified_interval = notified_interval
        self._is_notified = False
        self._look_at = math.inf  # when to look for news of which nobody notified
        self._waiters = Waiters()
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._reader: tuple[RegistryReader, ThreadPoolExecutor] | None = None

    async def updates(
        self,
        questions: Iterable[Question],
        poll_interval: float,
        *,
        follows: bool = False,
        is_decided: Callable[[Sequence[Answer]], bool] = are_ready,
        explains: bool | None = None,
    ) -> AsyncGenerator[News, None]:
        """Yield the answers now, and again whenever they change.

        :param poll_interval: seconds between two questions at most; notifications only shorten it.
        :param follows: instead yield whenever anything has happened in the sources, whatever the answers are. They then
            do not say why something is not ready.
        :param is_decided: whether answers end the wait; they are then told at once, without reasons.
        :param explains: tell also why something is not ready; by default as this poller does.
        :raises RegistryError: the store refuses to answer, for a reason that does not pass with time.
        """
        wants_reasons = not follows and (self._explains if explains is None else explains)
        waiter = Waiter(tuple(questions), poll_interval, follows, wants_reasons, is_decided)
        self._waiters.add(waiter)
        self._wake.set()
        self._ensure_running()
        try:
            while True:
                yield await waiter.next_news()
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._wake.set()

    async def ask(self, call: Callable[[RegistryReader], T]) -> T:
        """Ask the registry something else, in the same private thread. To be called by who takes updates.

        :raises StoreUnavailableError: it does not respond, or the poller has just ended; the next update tells why.
        """
        if self._reader is None:
            raise StoreUnavailableError("The registry is not open any more.")
        reader, threads = self._reader
        return await _in_thread(threads, partial(call, reader))

    def _ensure_running(self) -> None:
        if self._waiters and (self._running is None or self._running.done()):
            # An empty context: what is logged on behalf of all waiters must not land in the log of the first one.
            self._running = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
            self._running.add_done_callback(self._run_again)

    def _run_again(self, ended: asyncio.Task[None]) -> None:
        """Serve waiters that came while the connections for earlier ones were being closed."""
        if not ended.cancelled():
            self._ensure_running()

    async def _run(self) -> None:
        threads = ThreadPoolExecutor(1, thread_name_prefix="partition-registry")
        stop = threading.Event()
        self._is_notified = False
        self._look_at = math.inf
        reader = None
        try:
            reader = await _in_thread(threads, self._open_reader)
            self._reader = reader, threads
            loop = asyncio.get_running_loop()
            start_listening(
                reader,
                stop,
                lambda names: loop.call_soon_threadsafe(self._hear, names),
                lambda is_complete: loop.call_soon_threadsafe(self._note_whether_notified, stop, is_complete),
            )
            await self._answer_waiters(reader, threads)
        except Exception as error:
            waiters, self._waiters = self._waiters, Waiters()
            for waiter in waiters:
                waiter.fail(error)
        finally:
            # Also if the event loop is ending; waiting for the threads would hold it up.
            stop.set()
            self._reader = None
            if reader is not None:
                threads.submit(reader.close)
            threads.shutdown(wait=False)

    def _hear(self, source_names: frozenset[str]) -> None:
        """Ask soon for those who wait for these sources; look at all of them if it is not known which have changed."""
        if not source_names:
            self._look_at = -math.inf
        if self._waiters.hear(source_names) or not source_names:
            self._wake.set()

    def _note_whether_notified(self, stop: threading.Event, is_notified: bool) -> None:
        if stop.is_set():  # a listener of former waiters; they have another one now, if any
            return
        was_notified, self._is_notified = self._is_notified, is_notified
        if was_notified and not is_notified:
            self._hear(frozenset())  # something may have been lost

    async def _answer_waiters(self, reader: RegistryReader, threads: ThreadPoolExecutor) -> None:
        """Ask for whoever came or may have news; look for news when the shortest interval of all is over."""
        failures = 0
        explained_at = -math.inf
        while self._waiters:
            asked_at = time.monotonic()
            # A woken waiter wants to know at once whether it may go on; the reasons why not can wait a moment.
            explain = asked_at - explained_at >= EXPLANATION_PAUSE
            waiters: list[Waiter] = []
            try:
                if asked_at >= self._look_at and failures == 0:
                    await self._look(reader, threads)
                waiters = self._waiters.take(fully=explain)
                self._wake.clear()
                self._waiters.answered(waiters, await self._ask(waiters, reader, threads, explain))
                failures = 0
                explained_at = (
                    asked_at if explain and any(each.explains for each in waiters) else explained_at
                )
                shortest = self._waiters.shortest_interval
                if self._is_notified:
                    shortest = max(shortest, self._notified_interval)
                self._look_at = min(self._look_at, asked_at + shortest)
            except StoreUnavailableError as error:
                failures += 1
                for waiter in self._waiters:
                    waiter.tell(News(trouble=error))
            except Exception:
                await self._end_waits_that_fail(waiters, reader, threads)
                failures += 1
            if failures:
                # Not at once: if the questions of each waiter can be answered, those of all of them fail again.
                self._waiters.let_all_be_asked_for()
                self._look_at = time.monotonic() + back_off(failures)
            until = self._look_at
            if failures == 0 and self._waiters.are_half_answered:
                until = min(until, explained_at + EXPLANATION_PAUSE)
            await self._pause(asked_at, until)

    async def _look(self, reader: RegistryReader, threads: ThreadPoolExecutor) -> None:
        """Look where sources are in the history, to ask afterwards for those whose answer may have changed."""
        self._look_at = math.inf
        positions = await self._ask(self._waiters.to_look_at(), reader, threads, explain=False)
        self._waiters.looked(positions)

    async def _end_waits_that_fail(
        self, waiters: Iterable[Waiter], reader: RegistryReader, threads: ThreadPoolExecutor
    ) -> None:
        """Ask for one waiter after the other, so that an error ends only the wait of those whose questions cause it."""
        for waiter in waiters:
            try:
                await _in_thread(
                    threads, partial(reader.check_readiness_many, waiter.questions, explain=waiter.explains)
                )
            except StoreUnavailableError:
                return
            except Exception as error:
                self._waiters.discard(waiter)
                waiter.fail(error)

    async def _ask(
        self, waiters: Iterable[Waiter], reader: RegistryReader, threads: ThreadPoolExecutor, explain: bool
    ) -> Positions:
        """Ask for these waiters, and tell them. Returns where their sources were when the first were asked for."""
        positions: dict[str, int | None] = {}
        of_kind: dict[bool, list[Waiter]] = {True: [], False: []}
        for waiter in waiters:
            of_kind[explain and waiter.explains].append(waiter)
        for explained, those in of_kind.items():
            for batch in _batches(those):
                positions = await self._ask_for(batch, reader, threads, explained) | positions
        return positions

    async def _ask_for(
        self, waiters: Sequence[Waiter], reader: RegistryReader, threads: ThreadPoolExecutor, explain: bool
    ) -> dict[str, int | None]:
        questions = tuple({question: None for waiter in waiters for question in waiter.questions})
        answers = await _in_thread(threads, partial(reader.check_readiness_many, questions, explain=explain))
        by_question = dict(zip(questions, answers, strict=True))
        for count, waiter in enumerate(waiters, start=1):
            found = tuple(by_question[question] for question in waiter.questions)
            if explain or not waiter.explains or waiter.is_decided(found):
                waiter.tell(News(found))
            if count % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
        return {
            question.source_name: answer.as_of if isinstance(answer, Readiness) else None
            for question, answer in by_question.items()
        }

    async def _pause(self, asked_at: float, end: float) -> None:
        """Wait for notifications, or until the given time."""
        answered_at = time.monotonic()
        # However fast notifications arrive, asking takes no more than half of the time.
        rest = max(SHORTEST_PAUSE, answered_at - asked_at)
        # Not wait_for: up to Python 3.11 it loses a cancellation if the notification arrives at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(end - answered_at):
                await self._wake.wait()
        await asyncio.sleep(max(0.0, answered_at + rest - time.monotonic()))


def shared_poller(key: Hashable, open_reader: Callable[[], RegistryReader]) -> Poller:
    """The poller that all waiters with this key share in the running event loop.

    :param key: tells registries and callers apart: a URL, and the access token that is used.
    """
    of_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
    if key not in of_loop:
        of_loop[key] = Poller(open_reader)
    return of_loop[key]


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Poller]] = WeakKeyDictionary()


def _batches(waiters: Iterable[Waiter]) -> list[list[Waiter]]:
    """The waiters in batches of what one call can ask: all questions of a waiter are answered for one moment (R2)."""
    batches: list[list[Waiter]] = []
    asked = math.inf
    for waiter in waiters:
        asked += len(waiter.questions)
        if asked > MOST_QUESTIONS:
            batches.append([])
            asked = len(waiter.questions)
        batches[-1].append(waiter)
    return batches


async def _in_thread(threads: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, call)
