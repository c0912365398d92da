"""Who waits for readiness in one event loop, what each of them knows, and for whom to ask next."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from airflow_provider_partition_registry.domain.models import Lock, PartitionState
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.store_errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.waiting import are_ready
from airflow_provider_partition_registry.store import host_clock

LOOKED_AT_IN_TURN = 1_000  # waiters; they find what happens without an event, as by a repair of the database
LEASES_TRUSTED_FOR = 600.0  # seconds; leases run by the registry's clock, and this host's may be wrong

Positions = Mapping[str, int | None]
"""Where sources are in the history, by their names; None if there is no such source."""


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
    """Somebody who waits until the questions are answered as it wants.

    There may be ten thousand of them, so it holds no queue: what it has not heard yet is replaced by what is newer. Nor
    does it hold what it knows, only the hash of it.

    :param follows: it wants to know of every event of its sources, not of what is ready or why not.
    :param explains: tell it why something is not ready, and not only that it is not.
    :param is_decided: whether it need not know more than the answers say, explained or not.
    :param stands_until: by the clock of this host (seconds), when what it was told last is no longer the case although
        nothing has happened.
    """

    questions: tuple[Question, ...]
    poll_interval: float
    follows: bool = False
    explains: bool = True
    is_decided: Callable[[Sequence[Answer]], bool] = are_ready
    stands_until: float = math.inf
    _known: int | None = None
    _unheard: News | Exception | None = None
    _woken: asyncio.Future[None] | None = None

    def tell(self, news: News) -> None:
        """Pass news on unless the waiter knows them already."""
        self.stands_until = _stands_until(news.answers or ())
        meaning = hash(_place(news) if self.follows else _meaning(news))
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
    """All who wait, found by the sources that they wait for, and those among them to ask for next.

    Of a source without news it is enough to look at one question: if the source's position in the history is still
    where it was when all who wait for it were answered, their answers are what they were.
    """

    def __init__(self) -> None:
        self._all: OrderedDict[Waiter, None] = OrderedDict()
        self._of_source: defaultdict[str, set[Waiter]] = defaultdict(set)
        self._due: set[Waiter] = set()
        self._half_answered: set[Waiter] = set()
        # Of each source; all who wait for it were answered there or later, but for those who are due.
        self._positions: dict[str, int | None] = {}
        self.shortest_interval = math.inf
        """Seconds after which somebody wants everything to be looked at again; somebody may have left since."""

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
        self._all[waiter] = None
        for question in waiter.questions:
            self._of_source[question.source_name].add(waiter)
        self._due.add(waiter)
        self.shortest_interval = min(self.shortest_interval, waiter.poll_interval)

    def discard(self, waiter: Waiter) -> None:
        """Forget somebody who waits no longer."""
        self._all.pop(waiter, None)
        self._due.discard(waiter)
        self._half_answered.discard(waiter)
        for name in {question.source_name for question in waiter.questions}:
            self._of_source[name].discard(waiter)
            if not self._of_source[name]:
                del self._of_source[name]
                self._positions.pop(name, None)

    def hear(self, source_names: frozenset[str]) -> bool:
        """Let those who wait for changed sources be asked for next; return whether anybody does."""
        for name in source_names & self._of_source.keys():
            self._due |= self._of_source[name]
        return bool(self._due)

    def let_all_be_asked_for(self) -> None:
        """Let everybody be asked for next."""
        self._due.update(self._all)

    def take(self, *, fully: bool) -> list[Waiter]:
        """Those to ask for now: who came or may have news.

        :param fully: they will learn all that they want to know. So will those who have not since their last answer.
        """
        taken = self._due
        if fully:
            taken = taken | self._half_answered
            self._half_answered = set()
        else:
            self._half_answered.update(waiter for waiter in taken if waiter.explains)
        self._due = set()
        return list(taken)

    def to_look_at(self) -> list[Waiter]:
        """Those for whom to ask although nothing was heard: one of each source, and some of all in turn."""
        self.shortest_interval = min((waiter.poll_interval for waiter in self._all), default=math.inf)
        found = list(islice(self._all, LOOKED_AT_IN_TURN))
        for waiter in found:
            self._all.move_to_end(waiter)
        return list(dict.fromkeys([*found, *(next(iter(each)) for each in self._of_source.values())]))

    def looked(self, positions: Positions) -> None:
        """Let those who wait for a source that has moved be asked for next, and those whose answer stands no more."""
        for name in positions.keys() & self._of_source.keys():  # somebody may have left meanwhile
            if self._positions.get(name) != positions[name]:
                self._positions[name] = positions[name]
                self._due |= self._of_source[name]
        now = host_clock.now()
        self._due.update(waiter for waiter in self._all if waiter.stands_until <= now)

    def answered(self, waiters: Iterable[Waiter], positions: Positions) -> None:
        """Note where sources were when they were asked for."""
        settled = self._due.union(waiters)
        for name in positions.keys() & self._of_source.keys():
            if self._of_source[name] <= settled:
                self._positions[name] = positions[name]


def _stands_until(answers: Iterable[Answer]) -> float:
    """When a lease is over of which the answers tell. It ends without an event."""
    leases = [
        blocker.lock
        for answer in answers
        if isinstance(answer, Readiness)
        for blocker in answer.blockers
        if blocker.state is PartitionState.LOCKED and blocker.lock and blocker.lock.expires_at
    ]
    if not leases:
        return math.inf
    return host_clock.now() + min(LEASES_TRUSTED_FOR, *map(_rest, leases))


def _rest(lock: Lock) -> float:
    """Seconds until its lease is over. The registry's clock cannot be behind the time at which the lock was taken."""
    assert lock.expires_at is not None
    return (lock.expires_at - max(datetime.now(UTC), lock.locked_at)).total_seconds()


def _meaning(news: News) -> Hashable:
    """What a waiter would notice: the same reasons at a later position in the history are not news."""
    if news.answers is None:
        return "trouble"
    return tuple(_reasons(each) if isinstance(each, Readiness) else str(each) for each in news.answers)


def _place(news: News) -> Hashable:
    """What a waiter would notice that follows its sources: where they are in the history."""
    if news.answers is None:
        return "trouble"
    return tuple(each.as_of if isinstance(each, Readiness) else str(each) for each in news.answers)


def _reasons(answer: Readiness) -> Hashable:
    blockers = tuple((blocker.id, blocker.state, blocker.generation) for blocker in answer.blockers)
    return (answer.is_ready, answer.gaps, answer.stale, blockers)
