"""A crowd of waiters and a real registry, behind each door: quiet sources cost little, and whatever changes is told.

Nobody notifies anybody here, so that all of it is found by looking.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.domain.store_errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.waiting import explain_missing
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store import poller as polling, waiters as waiting
from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.maintenance import verify
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.sql.schema.tables import ready_interval
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.processes import until
from testbed.service import ServiceThread
from tests.contract.homes import hours

CROWD = 40
IN_TURN = 2
KEY = PartitionKey("busy", "p", hours(0, 2))
LATER = PartitionKey("busy", "p", hours(5, 6))
OF_ANOTHER = PartitionKey("busy", "q", hours(0, 1))
MOMENT, LONG = timedelta(seconds=1), timedelta(hours=1)


class Registry:
    """A registry, and what pollers have asked there so far.

    :param url: of its database.
    :param door: where they ask.
    """

    def __init__(self, store: SqlRegistryStore, url: str, door: str) -> None:
        self.store = store
        self.url = url
        self._door = door
        self.asked: list[tuple[Sequence[Question], bool]] = []
        self.is_down = False

    def reader(self) -> RegistryReader:
        """A reader to poll with, without notifications."""
        reader = open_store(self._door, pool_size=1, timeout=10)
        ask = reader.check_readiness_many

        def note_and_ask(questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
            self.asked.append((questions, explain))
            if self.is_down:
                raise StoreUnavailableError("The registry is down.")
            return ask(questions, explain=explain)

        reader.check_readiness_many = note_and_ask  # type: ignore[method-assign]
        reader.open_listener = lambda: None  # type: ignore[method-assign]
        return reader

    @property
    def explained(self) -> set[str]:
        """The sources about which somebody asked why something is not ready."""
        return {each.source_name for questions, explain in self.asked if explain for each in questions}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres), "service"])
def registry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(polling, "EXPLANATION_PAUSE", 0.1)
    monkeypatch.setattr(waiting, "LOOKED_AT_IN_TURN", IN_TURN)
    behind = "postgres" if request.param == "postgres" else "migrated_sqlite"
    url = request.getfixturevalue(f"{behind}_url")
    with open_sql_store(url, pool_size=2, timeout=10) as store:
        for source in ("busy", "calm"):
            token = store.register_source(source, "ann").access_token
            for provider, own in (("p", None), ("q", None)):
                store.register_provider(provider, token, provider_token=own)
        if request.param == "service":
            with ServiceThread(ServiceSettings(url), store) as service:
                yield Registry(store, url, service.url)
        else:
            yield Registry(store, url, url)


class Waiting:
    """Somebody who waits, and what they were told last."""

    def __init__(self, poller: Poller, *questions: Question) -> None:
        self.told = ""
        self.is_ready = False
        self.times_told = 0
        self.task = asyncio.create_task(self._wait(poller, questions))

    async def _wait(self, poller: Poller, questions: Sequence[Question]) -> None:
        async with aclosing(poller.updates(questions, 0.1)) as updates:
            async for news in updates:
                self.times_told += 1
                self.told = str(news.trouble) if news.answers is None else explain_missing(news.answers)
                if news.is_ready:
                    self.is_ready = True
                    return


@asynccontextmanager
async def crowd_at(registry: Registry) -> AsyncIterator[tuple[Poller, list[Waiting]]]:
    """Who waits for hours of two sources in turn, beginning with the first of the busy one."""
    poller = Poller(registry.reader)
    waiters = [
        Waiting(poller, Question("calm" if number % 2 else "busy", hours(number // 2, number // 2 + 1)))
        for number in range(CROWD)
    ]
    try:
        yield poller, waiters
    finally:
        for each in waiters:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in waiters), return_exceptions=True)


async def look_several_times(registry: Registry) -> None:
    registry.asked.clear()
    await until(lambda: len(registry.asked) >= 5, what="several looks")


def test_a_quiet_crowd_is_not_explained_anything_again(registry: Registry) -> None:
    """Nor are all of its questions asked: one of each source, and a few in turn."""
    registry.store.lock(KEY, register=True, lease=LONG)

    async def play() -> None:
        async with crowd_at(registry) as (_poller, waiters):
            await until(lambda: all(each.told for each in waiters), what="all to be told why")
            await look_several_times(registry)
            assert registry.explained == set()
            assert max(len(questions) for questions, _ in registry.asked) <= 2 + IN_TURN
            await asyncio.to_thread(registry.store.lock, LATER, register=True)
            await until(lambda: "being written" in waiters[10].told, what="the change to be told")
            assert registry.explained == {"busy"}
            await look_several_times(registry)
            assert registry.explained == set()
            assert [each.times_told for each in waiters] == [2 if n == 10 else 1 for n in range(CROWD)]

    asyncio.run(play())


STORY: list[tuple[Callable[[RegistryStore], Any], str]] = [
    (lambda store: store.lock(KEY, register=True, holder=Holder("first"), lease=LONG), "written by first"),
    (lambda store: store.fail(KEY, generation=1, reason="disk full"), "disk full"),
    (lambda store: store.lock(KEY, holder=Holder("second")), "written by second"),
    (lambda store: store.force_release(KEY, reason="it hangs", by="ann"), "it hangs"),
    (lambda store: store.withdraw(KEY, reason="not needed", by="ann"), "nobody has published"),
    (lambda store: store.lock(KEY, holder=Holder("third"), lease=MOMENT), "written by third"),
    (lambda _store: None, "left locked by third"),
    (lambda store: store.renew(KEY, generation=3, lease=MOMENT), "written by third"),
    (lambda _store: None, "left locked by third"),
    (lambda store: store.lock(KEY, holder=Holder("fourth"), lease=LONG), "written by fourth"),
    (
        lambda store: store.lock(OF_ANOTHER, register=True, holder=Holder("other")),
        "provider 'q' is being written by other",
    ),
    (lambda store: store.unlock(KEY, generation=4), "provider 'q' is being written by other"),
    (lambda store: store.release(OF_ANOTHER, holder=Holder("other")), ""),
    (lambda store: store.invalidate(KEY, reason="wrong figures", by="ann"), "wrong figures"),
    (lambda store: store.lock(KEY, holder=Holder("fifth")), "written by fifth"),
    (lambda store: store.unlock(KEY, generation=5), ""),
]
"""What happens to a partition, and what somebody who waits for it is told then. A lease also ends by itself."""


def test_whatever_an_explanation_tells_is_told_when_it_changes(registry: Registry) -> None:
    never = Question("calm", hours(100, 101))

    async def play() -> None:
        async with crowd_at(registry) as (poller, waiters):
            # For more than what happens here, so that it goes on.
            one = Waiting(poller, Question("busy", hours(0, 1)), never)
            waiters.append(one)
            for change, words in STORY:
                await asyncio.to_thread(change, registry.store)

                def is_told(words: str = words) -> bool:
                    about_the_first = one.told.rpartition("Not ready: " + str(never))[0]
                    return (words in about_the_first) if words else (bool(one.told) and not about_the_first)

                await until(is_told, what=words or "it to be called ready")

    asyncio.run(play())


def test_after_an_outage_all_are_told_again_why_not(registry: Registry) -> None:
    async def play() -> None:
        async with crowd_at(registry) as (_poller, waiters):
            await until(lambda: all(each.told for each in waiters), what="all to be told why")
            registry.is_down = True
            await until(lambda: all("is down" in each.told for each in waiters), what="all to be told of it")
            registry.is_down = False
            await until(lambda: all("nobody has" in each.told for each in waiters), what="all to be told why")

    asyncio.run(play())


def test_what_changes_without_an_event_is_found_in_turn(registry: Registry) -> None:
    """A repair of the database finds that an interval is ready; the source's position stays where it is."""
    registry.store.lock(KEY, register=True)
    registry.store.unlock(KEY)
    registry.store.database.write(lambda connection: connection.execute(delete(ready_interval)))

    async def play() -> None:
        async with crowd_at(registry) as (_poller, waiters):
            await until(lambda: all(each.told for each in waiters), what="all to be told why")
            await look_several_times(registry)
            await asyncio.to_thread(verify, registry.url, repairs=True)
            await until(lambda: waiters[0].is_ready and waiters[2].is_ready, what="both to be ready")

    asyncio.run(play())


HOURS = 6


def at_random(store: RegistryStore, chance: random.Random) -> None:
    """Change something; most refusals of a registry are fine here."""
    start = chance.randrange(HOURS)
    key = PartitionKey(
        chance.choice(["busy", "calm"]),
        chance.choice(["p", "q"]),
        hours(start, start + chance.choice([1, 1, 2])),
    )
    why = str(chance.random())
    changes: list[Callable[[], Any]] = [
        lambda: store.lock(key, register=True, lease=chance.choice([None, MOMENT / 4, MOMENT, LONG])),
        lambda: store.renew(key, generation=store.get_partition(key).generation, lease=MOMENT),
        lambda: store.unlock(key),
        lambda: store.fail(key, reason="disk full"),
        lambda: store.release(key),
        lambda: store.force_release(key, reason=why, by="ann"),
        lambda: store.invalidate(key, reason=why, by="ann"),
        lambda: store.withdraw(key, reason=why, by="ann"),
    ]
    with suppress(RegistryError):
        chance.choice(changes)()


def without_lease(told: str) -> str:
    """A renewal is no news."""
    return re.sub("lease until [^ ,)]+", "", told)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_all_are_told_in_the_end_what_is_the_case(registry: Registry, seed: int) -> None:
    chance = random.Random(seed)
    never = Question("calm", hours(100, 101))
    asked = [
        (Question(source, hours(start, start + 2)), never)
        for source in ("busy", "calm")
        for start in range(HOURS)
    ]

    async def play() -> None:
        async with crowd_at(registry) as (poller, waiters):
            told = [Waiting(poller, *questions) for questions in asked]
            waiters.extend(told)
            for _ in range(60):
                await asyncio.to_thread(at_random, registry.store, chance)
                await asyncio.sleep(chance.random() / 20)

            def what_is_the_case() -> list[str]:
                return [
                    without_lease(explain_missing(registry.store.check_readiness_many(each)))
                    for each in asked
                ]

            await until(
                lambda: [without_lease(each.told) for each in told] == what_is_the_case(),
                what="all to know what is the case",
            )

    asyncio.run(play())
