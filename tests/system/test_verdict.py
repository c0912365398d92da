"""The demo's verdict can say no: each way in which the promise may break is found in the facts. Quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, EventType
from demo.facts import Act, ActFacts, Facts, Report, Sighting, Summary, Try
from demo.verdict import judge, judge_act, judge_summaries

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
WRITER, READER = "Airflow 2.11", "Airflow 3.3"
EXPLANATION = "Not ready: ...:\n  ... failed at 2026-11-22T00:00:05Z: Work is not proved: load failed"


def at(second: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=second)


def event(second: float, event_type: EventType, generation: int = 1, **details: str) -> Event:
    return Event(
        position=int(second * 10),
        type=event_type,
        at=at(second),
        source_name="shop.orders",
        interval=Interval("2026-11-01", "2026-11-02"),
        holder="airflow-2.11/load_orders/act-1/lock",
        generation=generation,
        details=details,
    )


def one_try(
    side: str, task_id: str, start: float, end: float, state: str = "success", number: int = 1
) -> Try:
    return Try(side, "act-1", task_id, number, state, at(start), at(end))


def deferred(second: float) -> Sighting:
    return Sighting(READER, "act-1", "wait", "deferred", at(second), at(second + 0.1))


def good_act(*, fails: bool = False) -> ActFacts:
    """Locked from 1 to 10; the wait ends at 11, the report follows.

    If it fails: a failure at 5, another try from 7 on that somebody stops at 7.5, the repair from 8 on, and a rewrite
    from 20 on.
    """
    act = Act(1, WRITER, READER, "airflow-2.11", "2026-11-01", fails=fails, rows=20, cents=500)
    failure = (
        event(5, EventType.FAIL, reason="Work is not proved: load failed"),
        event(7, EventType.LOCK, 2),
        event(7.5, EventType.FAIL, 2, reason="Work is not proved: load failed"),
        event(8, EventType.LOCK, 3),
    )
    rewrite = (event(20, EventType.LOCK, 4), event(23, EventType.UNLOCK, 4))
    loads = [
        one_try(WRITER, "load", 2, 4, "failed"),
        one_try(WRITER, "load", 7.1, 7.7, "failed", number=2),
        one_try(WRITER, "load", 8.5, 9, number=3),
        one_try(WRITER, "load", 21, 22, number=4),
    ]
    return ActFacts(
        act=act,
        events=(
            event(0.9, EventType.PARTITION_REGISTERED),
            event(1, EventType.LOCK),
            *(failure if fails else ()),
            event(10, EventType.UNLOCK, 3 if fails else 1),
            *(rewrite if fails else ()),
        ),
        tries=(
            *(loads if fails else [one_try(WRITER, "load", 2, 9)]),
            one_try(READER, "wait", 2, 11),
            one_try(READER, "report", 12, 13),
        ),
        sightings=tuple(deferred(second) for second in (2, 6, 7.1, 9)),
        explanation=EXPLANATION if fails else "",
        report=Report(20, 500),
    )


def with_try(facts: ActFacts, changed: Try) -> ActFacts:
    """The same, but one task's record is another one."""
    key = (changed.side, changed.task_id, changed.number)
    others = tuple(one for one in facts.tries if (one.side, one.task_id, one.number) != key)
    return dataclasses.replace(facts, tries=(*others, changed))


def without_events(facts: ActFacts, event_type: EventType) -> ActFacts:
    return dataclasses.replace(facts, events=tuple(one for one in facts.events if one.type is not event_type))


def without_sightings(facts: ActFacts, start: float, end: float) -> ActFacts:
    left = tuple(one for one in facts.sightings if not at(start) <= one.asked < at(end))
    return dataclasses.replace(facts, sightings=left)


def broken_claims(facts: ActFacts) -> set[str]:
    return {check.claim for check in judge_act(facts) if not check.holds}


@pytest.mark.parametrize("fails", [False, True])
def test_a_good_hand_over_has_no_broken_claim(fails: bool) -> None:
    checks = judge_act(good_act(fails=fails))

    assert all(check.holds for check in checks)
    assert all(check.evidence for check in checks)


@pytest.mark.parametrize(
    ("breaks", "claim"),
    [
        (
            lambda facts: with_try(facts, one_try(READER, "report", 9.5, 13)),
            "Airflow 3.3 read only after the unlock",
        ),
        (
            lambda facts: dataclasses.replace(facts, events=(*facts.events, event(12.5, EventType.LOCK, 3))),
            "Airflow 3.3 read only after the unlock",
        ),
        (lambda facts: without_events(facts, EventType.UNLOCK), "Airflow 3.3 read only after the unlock"),
        (
            lambda facts: with_try(facts, one_try(READER, "wait", 2, 9)),
            "Airflow 3.3 waited while the lock was held",
        ),
        (lambda facts: without_sightings(facts, 0, 99), "Airflow 3.3 waited while the lock was held"),
        (lambda facts: dataclasses.replace(facts, report=Report(10, 250)), "Airflow 3.3 read complete data"),
        (lambda facts: dataclasses.replace(facts, report=None), "Airflow 3.3 read complete data"),
        (
            lambda facts: with_try(facts, one_try(WRITER, "load", 0.5, 9)),
            "Airflow 2.11 wrote under its own lock",
        ),
        (
            lambda facts: dataclasses.replace(
                facts, events=tuple(dataclasses.replace(one, holder="someone-else") for one in facts.events)
            ),
            "Airflow 2.11 wrote under its own lock",
        ),
        (
            lambda facts: dataclasses.replace(
                facts, tries=(*facts.tries, one_try(READER, "report", 14, 15, number=2))
            ),
            "Airflow 3.3 needed one try",
        ),
        (lambda facts: dataclasses.replace(facts, tries=()), "Airflow 3.3 read only after the unlock"),
        (lambda facts: dataclasses.replace(facts, events=()), "the history of 2026-11-01 is as it should be"),
    ],
)
def test_a_broken_hand_over_is_found(breaks: Callable[[ActFacts], ActFacts], claim: str) -> None:
    assert claim in broken_claims(breaks(good_act()))


@pytest.mark.parametrize(
    ("breaks", "claim"),
    [
        (lambda facts: without_sightings(facts, 5, 7), "Airflow 3.3 went on waiting after the failure"),
        (lambda facts: without_events(facts, EventType.FAIL), "the registry names the failed task"),
        (
            lambda facts: dataclasses.replace(facts, explanation="Not ready: somehow"),
            "Airflow 3.3 says in its log why",
        ),
        (
            lambda facts: with_try(facts, one_try(WRITER, "load", 2, 4, "success")),
            "the registry names the failed task",
        ),
        (
            # Published although the work failed: what must never happen.
            lambda facts: dataclasses.replace(
                facts,
                events=tuple(
                    dataclasses.replace(one, type=EventType.UNLOCK) if one.type is EventType.FAIL else one
                    for one in facts.events
                ),
            ),
            "the history of 2026-11-01 is as it should be",
        ),
        (
            lambda facts: with_try(facts, one_try(WRITER, "load", 19, 22, number=4)),
            "a task that was cleared locked again first",
        ),
        (
            lambda facts: dataclasses.replace(facts, events=facts.events[:-1]),
            "a task that was cleared locked again first",
        ),
    ],
)
def test_a_broken_repair_is_found(breaks: Callable[[ActFacts], ActFacts], claim: str) -> None:
    assert claim in broken_claims(breaks(good_act(fails=True)))


def test_two_clocks_that_differ_prove_nothing() -> None:
    (same, *_) = judge(Facts(clock_is_ahead=0.1, acts=(good_act(),)))
    (different, *_) = judge(Facts(clock_is_ahead=-2.0, acts=(good_act(),)))

    assert same.holds
    assert not different.holds


GOOD = Summary("2026-11-01", "success", Report(20, 500))


@pytest.mark.parametrize(
    ("fails", "summaries", "holds"),
    [
        (False, (GOOD,), (True, True)),
        (True, (GOOD, GOOD), (True, True)),
        (True, (GOOD,), (False, True)),
        (False, (GOOD, GOOD), (False, True)),
        (False, (), (False, True)),
        (False, (dataclasses.replace(GOOD, day="2026-11-02"),), (False, False)),
        (False, (dataclasses.replace(GOOD, state="failed"),), (True, False)),
        (False, (dataclasses.replace(GOOD, report=Report(10, 250)),), (True, False)),
        (False, (dataclasses.replace(GOOD, report=None),), (True, False)),
    ],
)
def test_runs_without_a_sensor(fails: bool, summaries: tuple[Summary, ...], holds: tuple[bool, bool]) -> None:
    facts = Facts(0.0, (good_act(fails=fails),), summaries)
    assert tuple(check.holds for check in judge_summaries(facts)) == holds
