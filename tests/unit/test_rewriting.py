"""What counts as a rewrite, and how it and held locks are told."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_partition_registry.domain.explanation import explain_locks
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, EventType, Holder
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.domain.rewriting import explain_rewriting, rewrites
from tests.unit.values import NOW, hours, partition

READ = Readiness(Question("s", hours(0, 4)), True, 7)
REWRITING = ("LOCK", "UNLOCK", "FAIL", "RELEASE", "FORCE_RELEASE", "INVALIDATE", "WITHDRAW")


def event(kind: str = "UNLOCK", interval: Interval | None = None, **fields: Any) -> Event:
    given: dict[str, Any] = {"provider_name": "p", "interval": interval or hours(0, 4), "holder": "me"}
    return Event(8, EventType(kind), NOW, "s", **(given | fields))


class TestWhatIsARewrite:
    @pytest.mark.parametrize("kind", list(EventType))
    def test_by_type(self, kind: EventType) -> None:
        assert rewrites(event(kind.value), hours(0, 4)) is (kind.value in REWRITING)

    @pytest.mark.parametrize(
        ("interval", "is_rewritten"),
        [
            (hours(-1, 0), False),
            (hours(-1, 0.5), True),
            (hours(1, 2), True),
            (hours(-1, 9), True),
            (hours(3.5, 9), True),
            (hours(4, 9), False),
        ],
    )
    def test_by_interval(self, interval: Interval, is_rewritten: bool) -> None:
        assert rewrites(event(interval=interval), hours(0, 4)) is is_rewritten

    def test_not_what_is_about_no_partition(self) -> None:
        assert not rewrites(Event(8, EventType.FAIL, NOW, "s"), hours(0, 4))


class TestHowItIsTold:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("LOCK", "was locked by me"),
            ("UNLOCK", "was published by me"),
            ("FAIL", "was marked as failed by me"),
            ("RELEASE", "was released as it was before by me"),
            ("FORCE_RELEASE", "was taken from its holder by me"),
            ("INVALIDATE", "was declared bad by me"),
            ("WITHDRAW", "was withdrawn by me"),
        ],
    )
    def test_each_kind(self, kind: str, words: str) -> None:
        assert explain_rewriting(READ, [event(kind)]).splitlines() == [
            f"Rewritten after event 7: {hours(0, 4)} of source 's':",
            f"  {hours(0, 4)} of provider 'p' {words} at 2026-03-01T12:00:00Z",
        ]

    def test_a_person_counts_more_than_the_holder_and_reasons_stay_in_their_line(self) -> None:
        details = {"by": "ann", "reason": "wrong\n  currency\x1b[31m"}
        line = explain_rewriting(READ, [event("INVALIDATE", details=details)]).splitlines()[1]
        assert line.endswith("was declared bad by ann at 2026-03-01T12:00:00Z: wrong currency\\x1b[31m")

    def test_nobody(self) -> None:
        assert "was published at 2026" in explain_rewriting(READ, [event(holder=None)])

    @pytest.mark.parametrize(
        ("count", "more"), [(10, ""), (11, "and 1 more events"), (25, "and 15 more events")]
    )
    def test_many_are_counted(self, count: int, more: str) -> None:
        lines = explain_rewriting(READ, [event()] * count).splitlines()
        assert len(lines) == 11 + bool(more)
        assert more in lines[-1]

    def test_none_that_is_known(self) -> None:
        told = explain_rewriting(READ, [])
        assert told == f"Rewritten after event 7: {hours(0, 4)} of source 's'."


class TestHeldLocks:
    def test_each_in_a_line_of_its_own(self) -> None:
        held = [
            partition("locked"),
            partition("expired", holder=Holder("other", {"log_url": "https://x\ny"})),
        ]
        first, second = explain_locks(held)
        assert first.startswith(f"source 's': {hours(0, 4)} of provider 'p' is being written by me since ")
        assert "was left locked by other since " in second
        assert second.endswith("(log: https://x y)")

    @pytest.mark.parametrize(("count", "lines"), [(3, 3), (4, 4), (9, 4)])
    def test_many_are_counted(self, count: int, lines: int) -> None:
        told = explain_locks([partition("locked")] * count, shown_at_most=3)
        assert len(told) == lines
        assert count == 3 or told[-1] == f"and {count - 3} more locks"
