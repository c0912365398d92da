"""Replays the history to the oracle: what must the registry look like after these events?"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from airflow_provider_partition_registry.domain.models import Event, Partition
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.contract.homes import all_events, span_of
from tests.contract.sql import stored_ready_spans
from tests.oracle import Key, Oracle, Record

STATES = {
    "LOCK": "locked",
    "UNLOCK": "ready",
    "FAIL": "failed",
    "INVALIDATE": "failed",
    "WITHDRAW": "registered",
}
WRITTEN_AS = {
    "locked": ["LOCK"],
    "ready": ["UNLOCK", "FORCE_RELEASE", "RELEASE"],
    "failed": ["FAIL", "FORCE_RELEASE", "INVALIDATE", "RELEASE"],
    "registered": ["WITHDRAW", "RELEASE"],
}
"""The events that bring a partition into each state."""

OF_TOKENS = ("TOKEN_ROTATED", "TOKEN_REVOKED")


class Told(NamedTuple):
    """An answer, and the moments between which it was given."""

    asked_at: datetime
    answer: Readiness
    told_at: datetime


def replay(events: Iterable[Event], oracle: Oracle | None = None) -> Oracle:
    """Apply the events to an oracle, which may have followed earlier ones."""
    oracle = oracle or Oracle()
    for event in events:
        if event.type == "SOURCE_REGISTERED":
            oracle.sources.add(event.source_name)
        elif event.type == "GRANT_REVOKED":
            oracle.grants.remove((event.provider_name, event.source_name))
        elif event.type in OF_TOKENS:
            continue  # events of access control do not change partitions
        elif event.interval is None:
            oracle.grants.add((event.provider_name, event.source_name))
        else:
            _follow(oracle, event)
    return oracle


def _follow(oracle: Oracle, event: Event) -> None:
    key = (event.source_name, event.provider_name, span_of(event.interval))
    if event.type == "PARTITION_REGISTERED":
        assert key not in oracle.partitions, f"registered twice: {event}"
        oracle.partitions[key] = Record(*key)
        return
    record = oracle.partitions[key]
    if event.type == "LOCK":
        assert event.generation == record.generation + 1, f"generations must grow by one: {event}"
        record.generation += 1
    elif event.type in ("UNLOCK", "FAIL", "RELEASE", "RENEW") and record.generation:
        assert record.state == "locked", f"finished a lock that nobody held: {event}"
        assert event.generation == record.generation, f"finished under an old generation: {event}"
    if event.type in ("LOCK", "RENEW"):
        over_at = event.details.get("expires_at")
        record.expires = datetime.fromisoformat(over_at) if over_at else None
    if event.type != "RENEW":
        record.become(STATES.get(event.type) or event.details["to"], event.at)


def assert_consistent(store: SqlRegistryStore) -> list[Event]:
    """Check that the history is complete and that rows and ready intervals follow from it. Returns the history."""
    events = all_events(store)
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    assert verify(store.database) == []
    oracle = replay(events)
    for source in oracle.sources:
        rows = {_key(row): (row.state.value, row.generation) for row in all_partitions(store, source)}
        # Expired locks are rare in these tests, and stored as locked.
        rows = {
            key: ("locked" if state == "expired" else state, number) for key, (state, number) in rows.items()
        }
        assert rows == {each.key: (each.state, each.generation) for each in oracle.of_source(source)}
        assert stored_ready_spans(store, source) == oracle.ready_spans(source, events[-1].at)
    return events


def assert_nothing_is_lost(events: Iterable[Event], acknowledged: Iterable[Partition]) -> None:
    """Check that everything that was acknowledged to a writer is in the history."""
    written = {(event.type.value, event.provider_name, event.interval, event.generation) for event in events}
    for partition in acknowledged:
        place = (partition.provider_name, partition.interval, partition.generation)
        kinds = WRITTEN_AS[partition.state.value]
        assert any((kind, *place) in written for kind in kinds), f"lost: {partition}"


def assert_answers_fit(events: list[Event], answers: Iterable[Told]) -> None:
    """Check that every answer follows from the history up to its ``as_of``, at a moment when it was given."""
    oracle, told = Oracle(), 0
    for asked_at, answer, told_at in sorted(answers, key=lambda each: each.answer.as_of):
        since = bisect_right(events, answer.as_of, key=lambda event: event.position)
        oracle = replay(events[told:since], oracle)
        told = max(told, since)
        source, span = answer.question.source_name, span_of(answer.question.interval)
        early, late = (oracle.readiness(source, span, moment) for moment in (asked_at, told_at))
        blockers = {_key(blocker): blocker.state.value for blocker in answer.blockers}
        # A lease may run out between the two moments; nothing else depends on the time.
        possible = {key: {state, late.blockers[key]} for key, state in early.blockers.items()}
        what = f"{answer.question} as of {answer.as_of}, asked at {asked_at}, told at {told_at}"
        assert blockers.keys() == possible.keys(), what
        assert all(state in possible[key] for key, state in blockers.items()), what
        expected = early.is_ready, early.gaps
        assert (answer.is_ready, [span_of(gap) for gap in answer.gaps]) == expected, what


def all_partitions(store: SqlRegistryStore, source_name: str) -> list[Partition]:
    found: list[Partition] = []
    after: int | None = None
    while True:
        page = store.list_partitions(source_name, after=after, limit=1000)
        found += page.items
        if page.next is None:
            return found
        after = int(page.next)


def _key(partition: Partition) -> Key:
    return partition.source_name, partition.provider_name, span_of(partition.interval)
