"""Polling once for many waiters: how triggers wait for readiness at almost no cost.

All waiters of one registry in one event loop share a :class:`Poller`. Per tick it sends one batch of questions from a
private thread. A listener, where the store has one, brings the next tick forward. The answers always come from the
store: a notification only says when to ask. A store that is down is asked again with exponential back-off and jitter.
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
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import are_ready
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS, RegistryReader
from airflow_provider_partition_registry.store.listening import back_off, start_listening

T = TypeVar("T")

SHORTEST_PAUSE = 0.02  # seconds after an answer before the next question: a burst of notifications causes one
EXPLANATION_PAUSE = 2.0  # seconds between two explanations; they cost far more than the mere answer
TOLD_AT_ONCE = 50  # waiters; waking a crowd all at once would block the event loop for everybody else


@dataclass(frozen=True, slots=True)
class News:
    """What changed for a waiter: its answers, or that the store does not respond at present.

    :param answers: one per question, in order; None while the store is in trouble.
    :param trouble: why the store does not respond.
    """

    answers: tuple[Answer, ...] | None = None
    trouble: StoreUnavailableError | None = None

    @property
    def is_ready(self) -> bool:
        """Whether every question is answered with yes."""
        return self.answers is not None and are_ready(self.answers)


@dataclass(eq=False, slots=True)
class _Waiter:
    questions: tuple[Question, ...]
    poll_interval: float
    news: asyncio.Queue[News | Exception] = field(default_factory=asyncio.Queue)
    told: Any = None  # what the waiter has been told already

    def tell(self, news: News) -> None:
        """Pass news on unless the waiter knows them already."""
        known = _meaning(news)
        if known != self.told:
            self.told = known
            self.news.put_nowait(news)


class Poller:
    """Answers all waiters of one registry in one event loop.

    :param open_reader: opens the registry; called in a private thread whenever there are waiters again.
    """

    def __init__(self, open_reader: Callable[[], RegistryReader]) -> None:
        self._open_reader = open_reader
        self._waiters: set[_Waiter] = set()
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def updates(
        self, questions: Iterable[Question], poll_interval: float
    ) -> AsyncGenerator[News, None]:
        """Yield the answers now, and again whenever they change.

        :param poll_interval: seconds between two questions at most; notifications only shorten it.
        :raises RegistryError: the store refuses to answer, for a reason that does not pass with time.
        """
        waiter = _Waiter(tuple(questions), poll_interval)
        self._waiters.add(waiter)
        self._wake.set()
        self._ensure_running()
        try:
            while True:
                news = await waiter.news.get()
                if isinstance(news, Exception):
                    raise news
                yield news
        finally:
            self._waiters.discard(waiter)
            self._wake.set()

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
        reader = None
        try:
            reader = await _in_thread(threads, self._open_reader)
            loop = asyncio.get_running_loop()
            start_listening(reader, stop, lambda names: loop.call_soon_threadsafe(self._hear, names))
            await self._answer_waiters(reader, threads)
        except Exception as error:
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                waiter.news.put_nowait(error)
        finally:
            # Also if the event loop is ending; waiting for the threads would hold it up.
            stop.set()
            if reader is not None:
                threads.submit(reader.close)
            threads.shutdown(wait=False)

    def _hear(self, source_names: frozenset[str]) -> None:
        if not source_names or any(
            question.source_name in source_names for waiter in self._waiters for question in waiter.questions
        ):
            self._wake.set()

    async def _answer_waiters(self, reader: RegistryReader, threads: ThreadPoolExecutor) -> None:
        failures = 0
        explained_at = -math.inf
        while self._waiters:
            asked_at = time.monotonic()
            # A woken waiter wants to know at once whether it may go on; the reasons why not can wait a moment.
            explain = asked_at - explained_at >= EXPLANATION_PAUSE
            self._wake.clear()
            try:
                await self._ask(reader, threads, explain)
                failures = 0
                explained_at = asked_at if explain else explained_at
                pause = self._shortest_interval()
                if not explain:  # the reasons are still to be given
                    pause = min(pause, EXPLANATION_PAUSE)
            except StoreUnavailableError as error:
                failures += 1
                pause = back_off(failures)
                for waiter in self._waiters:
                    waiter.tell(News(trouble=error))
            except Exception:
                await self._end_waits_that_fail(reader, threads)
                failures += 1
                pause = back_off(
                    failures
                )  # if every waiter's questions can be answered, the batch fails again
            await self._pause(asked_at, pause)

    async def _end_waits_that_fail(self, reader: RegistryReader, threads: ThreadPoolExecutor) -> None:
        """Ask for one waiter after the other, so that an error ends only the wait of those whose questions cause it."""
        for waiter in tuple(self._waiters):
            try:
                await _in_thread(threads, partial(reader.check_readiness_many, waiter.questions))
            except StoreUnavailableError:
                return
            except Exception as error:
                self._waiters.discard(waiter)
                waiter.news.put_nowait(error)

    async def _ask(self, reader: RegistryReader, threads: ThreadPoolExecutor, explain: bool) -> None:
        for waiters in _batches(self._waiters):
            await self._ask_for(waiters, reader, threads, explain)

    async def _ask_for(
        self, waiters: Sequence[_Waiter], reader: RegistryReader, threads: ThreadPoolExecutor, explain: bool
    ) -> None:
        questions = tuple({question: None for waiter in waiters for question in waiter.questions})
        answers = await _in_thread(threads, partial(reader.check_readiness_many, questions, explain=explain))
        by_question = dict(zip(questions, answers, strict=True))
        for count, waiter in enumerate(waiters, start=1):
            news = News(answers=tuple(by_question[question] for question in waiter.questions))
            if explain or news.is_ready:
                waiter.tell(news)
            if count % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _shortest_interval(self) -> float:
        return min((waiter.poll_interval for waiter in self._waiters), default=0.0)

    async def _pause(self, asked_at: float, seconds: float) -> None:
        answered_at = time.monotonic()
        # However fast notifications arrive, asking takes no more than half of the time.
        rest = max(SHORTEST_PAUSE, answered_at - asked_at)
        # Not wait_for: up to Python 3.11 it loses a cancellation if the notification arrives at the same moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
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


def _batches(waiters: Iterable[_Waiter]) -> list[list[_Waiter]]:
    """The waiters in batches of what one call can ask: all questions of a waiter are answered for one moment (R2)."""
    batches: list[list[_Waiter]] = []
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


def _meaning(news: News) -> Sequence[Any]:
    """What a waiter would notice: the same reasons at a later position in the history are not news."""
    if news.answers is None:
        return ("trouble",)
    return [_reasons(answer) if isinstance(answer, Readiness) else str(answer) for answer in news.answers]


def _reasons(answer: Readiness) -> Sequence[Any]:
    blockers = [(blocker.id, blocker.state, blocker.generation) for blocker in answer.blockers]
    return (answer.is_ready, answer.gaps, answer.stale, blockers)
