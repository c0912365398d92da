"""Who waits for readiness in one event loop, what each of them knows, and for whom to ask next."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.store_errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.waiting import are_ready


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
class Waiter:
    """Somebody who waits until all of the questions are answered with yes.

    There may be ten thousand of them, so it holds no queue: what it has not heard yet is replaced by what is newer.
    """

    questions: tuple[Question, ...]
    poll_interval: float
    _known: Any = None
    _unheard: News | Exception | None = None
    _woken: asyncio.Future[None] | None = None

    def tell(self, news: News) -> None:
        """Pass news on unless the waiter knows them already."""
        meaning = _meaning(news)
        if meaning != self._known:
            self._known = meaning
            self._pass_on(news)

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        self._pass_on(error)

    async def next_news(self) -> News:
        """Wait for news.

        :raises Exception: the one that ended the wait.
        """
        if self._unheard is None:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        news, self._unheard = self._unheard, None
        if isinstance(news, Exception):
            raise news
        assert news is not None
        return news

    def _pass_on(self, news: News | Exception) -> None:
        self._unheard = news
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)


class Waiters:
    """All who wait, found by the sources that they wait for, and those among them to ask for next."""

    def __init__(self) -> None:
        self._all: set[Waiter] = set()
        self._of_source: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._due: set[Waiter] = set()
        self._half_answered: set[Waiter] = set()
        self.shortest_interval = math.inf
        """Seconds after which somebody wants everything to be asked again; somebody may have left since."""

    def __iter__(self) -> Iterator[Waiter]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def are_half_answered(self) -> bool:
        """Whether somebody has not yet learnt all that it wants to know."""
        return bool(self._half_answered)

    def add(self, waiter: Waiter) -> None:
        """Let somebody wait, and be asked for next."""
        self._all.add(waiter)
        for question in waiter.questions:
            self._of_source[question.source_name].add(waiter)
        self._due.add(waiter)
        self.shortest_interval = min(self.shortest_interval, waiter.poll_interval)

    def discard(self, waiter: Waiter) -> None:
        """Forget somebody who waits no longer."""
        self._all.discard(waiter)
        self._due.discard(waiter)
        self._half_answered.discard(waiter)
        for name in {question.source_name for question in waiter.questions}:
            self._of_source[name].discard(waiter)
            if not self._of_source[name]:
                del self._of_source[name]

    def hear(self, source_names: frozenset[str]) -> bool:
        """Let those who wait for changed sources be asked for next; return whether anybody does.

        :param source_names: empty if any source may have changed.
        """
        if not source_names:
            self._due |= self._all
        for name in source_names & self._of_source.keys():
            self._due |= self._of_source[name]
        return bool(self._due)

    def take(self, *, everybody: bool, fully: bool) -> list[Waiter]:
        """Those to ask for now.

        :param everybody: not only those who came or may have news.
        :param fully: they will learn all that they want to know. So will those who have not since their last answer.
        """
        taken = self._all if everybody else self._due
        if everybody:
            self.shortest_interval = min((waiter.poll_interval for waiter in self._all), default=math.inf)
        if fully:
            taken = taken | self._half_answered
            self._half_answered = set()
        else:
            self._half_answered |= taken
        self._due = set()
        return list(taken)


def _meaning(news: News) -> Sequence[Any]:
    """What a waiter would notice: the same reasons at a later position in the history are not news."""
    if news.answers is None:
        return ("trouble",)
    return [_reasons(answer) if isinstance(answer, Readiness) else str(answer) for answer in news.answers]


def _reasons(answer: Readiness) -> Sequence[Any]:
    blockers = [(blocker.id, blocker.state, blocker.generation) for blocker in answer.blockers]
    return (answer.is_ready, answer.gaps, answer.stale, blockers)
