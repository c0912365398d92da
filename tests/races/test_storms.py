"""Storms of locks on overlapping partitions: readers' answers always agree with the history."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from airflow_provider_partition_registry.domain.models import Event, PartitionKey
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from testbed.processes import wait_until
from tests.races.conftest import register
from tests.races.replay import Told, assert_answers_fit, assert_consistent
from tests.races.traffic import PLACES, Writer, started

SOURCES = ("s0", "s1", "s2", "s3")


def read_until(stop: threading.Event, store: Any, answers: list[Told]) -> None:
    """Ask about all partitions again and again, singly and in one batch."""
    questions = [Question("s", place) for place in PLACES]

    def note(ask: Callable[[], Sequence[Readiness]]) -> None:
        asked_at, told, told_at = datetime.now(UTC), ask(), datetime.now(UTC)
        answers.extend(Told(asked_at, answer, told_at) for answer in told)

    for question in itertools.cycle(questions):
        note(lambda asked=question: [store.check_readiness(asked.source_name, asked.interval)])
        note(lambda: store.check_readiness_many(questions))
        if stop.is_set():
            return


@pytest.mark.parametrize("lease", [None, timedelta(seconds=0.01)], ids=["lasting", "expiring"])
def test_readers_are_told_what_the_history_says(store, database_url: str, lease) -> None:
    store.register_partition(PartitionKey("s", "p0", PLACES[0]))
    store.unlock(PartitionKey("s", "p0", PLACES[0]))
    writers = [Writer(open_store(database_url, timeout=30), f"w{n}", lease=lease) for n in range(6)]
    stop = threading.Event()
    answers: list[Told] = []
    readers, leaked = started([lambda: read_until(stop, open_store(database_url, timeout=30), answers)] * 2)
    wait_until(lambda: any(told.answer for told in answers), what="the calm before the storm", timeout=60)
    if lease is not None:
        take_over_what_readers_see_expired(store, lease, answers)
    writing, also_leaked = started(list(writers))
    for thread in writing:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert leaked + also_leaked == []
    events = assert_consistent(store)
    assert len(events) > 100
    assert_answers_fit(events, answers)
    assert {told.answer.is_ready for told in answers} == {True, False}
    was_taken_over = any("took_over_from" in event.details for event in events)
    assert (saw_an_expired_lock(answers), was_taken_over) == (lease is not None,) * 2
    assert_every_acknowledgement_is_in(events, writers)


def take_over_what_readers_see_expired(store: Any, lease: timedelta, answers: list[Told]) -> None:
    """Take over locks that readers see as expired, which the storm causes only by chance."""
    store.lock(PartitionKey("s", "p0", PLACES[0]), holder="gone", lease=lease)
    wait_until(lambda: saw_an_expired_lock(answers), what="an expired lock", timeout=60, interval=0.01)
    store.lock(PartitionKey("s", "p0", PLACES[0]), holder="heir")
    store.unlock(PartitionKey("s", "p0", PLACES[0]), holder="heir")


def saw_an_expired_lock(answers: list[Told]) -> bool:
    return any(blocker.state == "expired" for told in answers for blocker in told.answer.blockers)


def assert_every_acknowledgement_is_in(events: list[Event], writers: list[Writer]) -> None:
    granted = {
        (event.source_name, event.provider_name, event.interval, event.generation)
        for event in events
        if event.type == "LOCK"
    }
    taken = [each for writer in writers for each in writer.acknowledged if each.state == "locked"]
    assert taken
    assert {
        (each.source_name, each.provider_name, each.interval, each.generation) for each in taken
    } <= granted


def dawdle(store: Any, name: str) -> None:
    """Keep transactions open longer: sleep a little between any two statements."""
    mind = random.Random(name)
    event.listen(
        store.database.engine, "after_cursor_execute", lambda *_: time.sleep(mind.choice((0, 0, 0.001, 0.01)))
    )


def follow(store: Any, source_name: str | None, seen: list[Event], is_over: Callable[[], bool]) -> None:
    """Read the history as it grows, from the last position seen, in pages of any size."""
    mind, cursor, last_look = random.Random(str(source_name)), 0, False
    while True:
        page = store.events(cursor, source_name, limit=mind.randint(1, 20))
        seen += page.items
        cursor = seen[-1].position if seen else 0
        if last_look and page.next is None:
            return
        last_look = is_over()


@pytest.mark.postgres
def test_a_follower_misses_nothing_and_sees_nothing_twice(postgres_url: str) -> None:
    with open_sql_store(postgres_url, pool_size=1, timeout=10) as store:
        for source_name in SOURCES:
            register(store, source_name, 4)
        writers = [Writer(open_store(postgres_url, timeout=60), f"w{n}", SOURCES, steps=25) for n in range(8)]
        for writer in writers:
            dawdle(writer.store, writer.name)
        stop = threading.Event()
        seen: dict[str | None, list[Event]] = {name: [] for name in (None, *SOURCES)}
        following, leaked = started(
            [
                lambda name=name, own=own: follow(open_store(postgres_url), name, own, stop.is_set)
                for name, own in seen.items()
            ]
        )
        writing, also_leaked = started(list(writers))
        for thread in writing:
            thread.join()
        stop.set()
        for thread in following:
            thread.join()
        assert leaked + also_leaked == []
        events = assert_consistent(store)
        for name, followed in seen.items():
            assert followed == [event for event in events if name in (None, event.source_name)]
