"""Answers about readiness (R1, R2, R8), and their wording."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.models import Holder
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.domain.readiness import assess
from tests.unit.values import NOW, hours, partition

DAY = Question("s", hours(0, 24))
FRESH_DAY = Question("s", hours(0, 24), NOW)
SINCE = "since 2026-03-01T11:00:00Z"
LOG = "https://logs/1"


def answer(question=DAY, published=(), blockers=(), fresh=()):
    return assess(question, as_of=7, published=published, blockers=blockers, fresh=fresh)


@pytest.mark.parametrize(
    ("published", "gaps"),
    [
        ([(0, 24)], []),
        ([(-5, 30)], []),
        ([(0, 12), (12, 24)], []),
        ([(0, 14), (12, 24)], []),
        ([], [(0, 24)]),
        ([(-5, 0), (24, 30)], [(0, 24)]),
        ([(5, 6), (8, 9)], [(0, 5), (6, 8), (9, 24)]),
    ],
)
def test_gaps(published, gaps) -> None:
    told = answer(published=[hours(*each) for each in published])
    assert told.gaps == tuple(hours(*each) for each in gaps)
    assert told.is_ready is not bool(gaps)
    assert (told.as_of, told.question, told.stale) == (7, DAY, ())


@pytest.mark.parametrize("state", ["locked", "expired", "failed"])
def test_blockers_block_what_is_published(state: str) -> None:
    told = answer(published=[hours(0, 24)], blockers=[partition(state)])
    assert (told.is_ready, told.gaps, len(told.blockers)) == (False, (), 1)


def test_blockers_come_in_order() -> None:
    blockers = [
        partition("locked", hours(*each), provider_name=name)
        for each in ((4, 5), (0, 9), (0, 1))
        for name in "qp"
    ]
    told = answer(blockers=blockers).blockers
    assert [(each.interval, each.provider_name) for each in told] == [
        (hours(*each), name) for each in ((0, 1), (0, 9), (4, 5)) for name in "pq"
    ]


def test_stale_is_what_is_covered_but_not_freshly() -> None:
    told = answer(FRESH_DAY, published=[hours(0, 20)], fresh=[hours(5, 6)])
    assert (told.stale, told.gaps, told.is_ready) == ((hours(0, 5), hours(6, 20)), (hours(20, 24),), False)
    assert answer(FRESH_DAY, published=[hours(0, 24)], fresh=[hours(0, 24)]).is_ready
    assert answer(DAY, published=[hours(0, 24)]).is_ready


def test_a_ready_answer_in_words() -> None:
    text = explain(answer(published=[hours(0, 24)]))
    assert text == "Ready: [2026-03-01T12:00:00Z, 2026-03-02T12:00:00Z) of source 's' (as of event 7)."


def test_every_reason_in_words() -> None:
    holder = Holder("dag/run/task", {"log_url": LOG})
    blockers = [
        partition("locked", hours(4, 5), holder=holder),
        partition("expired", hours(5, 6), provider_name="q"),
        partition("failed", hours(6, 7)),
    ]
    lines = explain(
        answer(FRESH_DAY, published=[hours(7, 20)], blockers=blockers, fresh=[hours(7, 8)])
    ).splitlines()
    day = "[2026-03-01T12:00:00Z, 2026-03-02T12:00:00Z)"
    assert [line.strip() for line in lines] == [
        f"Not ready: {day} of source 's':",
        f"nobody has published {hours(0, 4)}, {hours(20, 24)}",
        f"not known to have been published since 2026-03-01T12:00:00Z: {hours(8, 20)}",
        f"{hours(4, 5)} of provider 'p' is being written by {holder} {SINCE}, without a lease (log: {LOG})",
        f"{hours(5, 6)} of provider 'q' was left locked by me {SINCE}, lease until 2026-03-01T12:00:00Z",
        f"{hours(6, 7)} of provider 'p' failed at 2026-03-01T11:00:00Z: disk full",
    ]


def test_many_reasons_are_counted() -> None:
    told = answer(
        published=[hours(n, n + 0.5) for n in range(24)],
        blockers=[partition("failed", hours(n, n + 0.5)) for n in range(5)],
    )
    text = explain(told, shown_at_most=3)
    assert "and 21 more" in text
    assert "and 2 more partitions that block it" in text
    assert len(text.splitlines()) == 6


def test_what_a_blocker_covers_is_not_called_a_gap_as_well() -> None:
    assert "nobody" not in explain(answer(blockers=[partition("locked", hours(-1, 30))]))


def test_a_lock_with_a_lease_says_until_when() -> None:
    told = answer(blockers=[partition("expired")])
    assert f"lease until {NOW.isoformat().replace('+00:00', 'Z')}" in explain(told)


def test_a_failure_leads_to_the_log_of_its_writer_if_there_is_one() -> None:
    logged = partition("failed", hours(0, 24), holder=Holder("dag", {"log_url": LOG}))
    assert explain(answer(blockers=[logged])).endswith(
        f"failed at 2026-03-01T11:00:00Z: disk full (log of the last lock holder: {LOG})"
    )
    for holder in (None, Holder("dag")):
        unlogged = partition("failed", hours(0, 24), holder=holder, reason=None)
        assert explain(answer(blockers=[unlogged])).endswith(
            "failed at 2026-03-01T11:00:00Z: no reason given"
        )


@pytest.mark.parametrize(("count", "more"), [(2, ""), (3, " and 1 more"), (4, " and 2 more")])
def test_reasons_are_counted_from_the_first_that_is_not_shown(count: int, more: str) -> None:
    published = [hours(number + 0.5, number + 1) for number in range(count - 1)]
    gaps = explain(answer(published=[*published, hours(count - 0.5, 24)]), shown_at_most=2).splitlines()[1]
    assert gaps.rpartition(")")[2] == more
    failed = [partition("failed", hours(number, number + 1), id=number + 1) for number in range(count)]
    text = explain(answer(blockers=failed), shown_at_most=2)
    assert (f"and {count - 2} more partitions that block it" in text) is bool(more)
