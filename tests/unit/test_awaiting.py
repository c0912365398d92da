"""What answers mean for a condition, compared with an oracle that counts hours."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.awaiting import Awaited, as_percent, coverage_of
from airflow_provider_partition_registry.domain.condition_text import read_condition
from airflow_provider_partition_registry.domain.conditions import Occasion
from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.readiness import assess
from airflow_provider_partition_registry.domain.waiting import WaitOutcome, WaitPolicy
from tests.unit.values import HOUR, NOW, hours, partition

HOURS = 20  # of the interval; an hour is five per cent of it
INTERVAL = hours(0, HOURS)
MINUTE = timedelta(minutes=1)
SOURCES = ("a", "b", "c")


def awaited(text: str, on_failed: Any = "wait", on_missing_source: Any = "fail", **occasion: Any) -> Awaited:
    """A condition that is waited for since ``NOW``."""
    condition = read_condition(text).on(Occasion(INTERVAL, NOW, **occasion))
    return Awaited(condition, WaitPolicy(on_failed, on_missing_source))


def answer(question: Question, ready: Iterable[int], failed: Iterable[int] = ()) -> Readiness:
    """The answer if these hours are ready and writes of those have failed."""
    return assess(
        question,
        as_of=7,
        published=[hours(hour, hour + 1) for hour in ready],
        blockers=[partition("failed", hours(hour, hour + 1)) for hour in failed],
    )


def answers(of: Awaited, **ready: Iterable[int]) -> list[Answer]:
    """One answer per question; a source that is not named does not exist."""
    return [
        answer(question, ready[question.source_name])
        if question.source_name in ready
        else UnknownSourceError(question.source_name)
        for question in of.questions
    ]


ALL, NONE = range(HOURS), ()


class TestFallback:
    WHICH = "a else b after 2h"

    def test_counts_only_after_its_time(self) -> None:
        wait = awaited(self.WHICH)
        found = answers(wait, a=NONE, b=ALL)
        assert wait.judge(found, NOW + 2 * HOUR - MINUTE).outcome is WaitOutcome.NOT_YET
        verdict = wait.judge(found, NOW + 2 * HOUR)
        assert verdict.outcome is WaitOutcome.READY
        assert [each.readiness.question.source_name for each in verdict.decided] == ["b"]

    def test_what_it_stands_in_for_is_preferred_however_late(self) -> None:
        wait = awaited(self.WHICH)
        verdict = wait.judge(answers(wait, a=ALL, b=ALL), NOW + 5 * HOUR)
        assert [each.readiness.question.source_name for each in verdict.decided] == ["a"]

    def test_the_next_moment_is_when_an_alternative_begins_to_count(self) -> None:
        wait = awaited("all(a else b after 2h else c after 3h, b else 90% after 1h)")
        moments = [NOW + count * HOUR for count in (1, 2, 3)]
        assert [wait.next_moment(NOW + count * HOUR - MINUTE) for count in (1, 2, 3)] == moments
        assert [wait.next_moment(NOW + count * HOUR) for count in (0, 1, 2)] == moments
        assert wait.next_moment(moments[-1]) is None

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a else b after 08:00", "2026-03-02T08:00Z"),  # the interval ends at 08:00 o'clock
            ("a else b after 07:59", "2026-03-03T07:59Z"),
            ("a[-1 day] else b after 08:00", "2026-03-01T08:00Z"),
            ("a[last 3 hours] else b[-1 year] after 09:00", "2026-03-02T09:00Z"),
            ("all(a[-1 month], b) else c[-1 year] after 09:00", "2026-03-02T09:00Z"),
        ],
    )
    def test_a_time_of_day_is_that_after_the_end_of_what_is_stood_in_for(
        self, text: str, expected: str
    ) -> None:
        moment = awaited(text).next_moment(NOW - timedelta(days=400))
        assert moment == datetime.fromisoformat(expected)

    def test_a_time_of_day_is_that_of_the_time_zone(self) -> None:
        moment = awaited("a else b after 10:00", timezone="Europe/Berlin").next_moment(NOW)
        assert moment == datetime.fromisoformat("2026-03-02T09:00Z")

    def test_says_what_will_be_enough(self) -> None:
        wait = awaited(self.WHICH)
        told = wait.explain(answers(wait, a=range(10), b=NONE), NOW)
        assert told.splitlines() == [
            f"Not ready: {INTERVAL} of source 'a':",
            "  nobody has published [2026-03-01T22:00:00Z, 2026-03-02T08:00:00Z)",
            f"Not ready: {INTERVAL} of source 'b':",
            "  nobody has published [2026-03-01T12:00:00Z, 2026-03-02T08:00:00Z)",
            f"From 2026-03-01T14:00:00Z on {INTERVAL} of source 'b' is enough.",
        ]


class TestPartialCoverage:
    WHICH = "a else 90% after 1h"

    def test_complete_data_needs_no_grace(self) -> None:
        wait = awaited(self.WHICH)
        assert wait.judge(answers(wait, a=ALL), NOW).outcome is WaitOutcome.READY

    def test_is_accepted_after_the_grace(self) -> None:
        wait = awaited(self.WHICH)
        found = answers(wait, a=range(18))
        assert wait.judge(found, NOW).outcome is WaitOutcome.NOT_YET
        verdict = wait.judge(found, NOW + HOUR)
        assert verdict.outcome is WaitOutcome.PARTIAL
        (decided,) = verdict.decided
        assert not decided.readiness.is_ready
        assert (decided.coverage, decided.missing) == (0.9, (hours(18, 20),))

    def test_less_is_not_accepted(self) -> None:
        wait = awaited(self.WHICH)
        assert wait.judge(answers(wait, a=range(17)), NOW + HOUR).outcome is WaitOutcome.NOT_YET

    def test_what_is_stale_is_missing(self) -> None:
        wait = awaited("a else 50%", published_after=NOW)
        (question,) = wait.questions
        found = assess(question, as_of=7, published=[INTERVAL], fresh=[hours(0, 5), hours(9, 20)])
        (decided,) = wait.judge([found], NOW).decided
        assert (decided.coverage, decided.missing) == (0.8, (hours(5, 9),))

    def test_what_reaches_beyond_the_interval_is_missing_only_in_it(self) -> None:
        wait = awaited("a else 50%")
        (question,) = wait.questions
        blockers = [partition("locked", hours(-5, 2)), partition("failed", hours(1, 3))]
        found = assess(question, as_of=7, published=[INTERVAL], blockers=blockers)
        (decided,) = wait.judge([found], NOW).decided
        assert (decided.coverage, decided.missing) == (0.85, (hours(0, 3),))

    def test_an_answer_without_reasons_proves_nothing(self) -> None:
        wait = awaited("a else 1%")
        (question,) = wait.questions
        assert wait.judge([Readiness(question, False, 7)], NOW).outcome is WaitOutcome.NOT_YET
        assert wait.judge([Readiness(question, True, 7)], NOW).outcome is WaitOutcome.READY

    def test_says_how_much_there_is_and_is_needed(self) -> None:
        wait = awaited(self.WHICH)
        told = wait.explain(answers(wait, a=range(17)), NOW).splitlines()
        assert told[2:] == [
            f"85 % of {INTERVAL} of source 'a' is ready; at least 90 % is asked for.",
            f"From 2026-03-01T13:00:00Z on 90 % of {INTERVAL} of source 'a' is enough.",
        ]

    def test_says_what_was_missing(self) -> None:
        wait = awaited("all(a else 90%, b)")
        told = wait.explain(answers(wait, a=range(18), b=ALL), NOW).splitlines()
        assert told == [
            f"Partly ready: 90 % of {INTERVAL} of source 'a' (as of event 7). What is missing:",
            "  nobody has published [2026-03-02T06:00:00Z, 2026-03-02T08:00:00Z)",
            f"Ready: {INTERVAL} of source 'b' (as of event 7).",
        ]

    def test_a_percentage_is_rounded_down(self) -> None:
        nearly = coverage_of(INTERVAL, [Interval(NOW, NOW + timedelta(microseconds=1))])
        assert as_percent(nearly) == "99.99 %"


class TestUnknownSources:
    def test_end_the_wait_though_something_else_would_do(self) -> None:
        wait = awaited("any(a, typo)")
        assert wait.judge(answers(wait, a=ALL), NOW).outcome is WaitOutcome.SOURCE_MISSING
        assert "'typo' is not registered" in wait.explain(answers(wait, a=ALL), NOW)

    def test_are_waited_for(self) -> None:
        wait = awaited("all(a, typo else 1%)", on_missing_source="wait")
        assert wait.judge(answers(wait, a=ALL), NOW).outcome is WaitOutcome.NOT_YET
        assert "'typo' is not registered" in wait.explain(answers(wait, a=ALL), NOW)

    def test_do_not_keep_alternatives_from_being_met(self) -> None:
        wait = awaited("any(typo, a)", on_missing_source="wait")
        assert wait.judge(answers(wait, a=ALL), NOW).outcome is WaitOutcome.READY


class TestFailedWrites:
    @pytest.mark.parametrize(
        ("text", "outcome"),
        [
            ("a", WaitOutcome.WRITE_FAILED),
            ("all(a, b)", WaitOutcome.WRITE_FAILED),
            ("any(a, c)", WaitOutcome.NOT_YET),
            ("a else c after 2h", WaitOutcome.NOT_YET),
            ("any(a, a[-1 day])", WaitOutcome.WRITE_FAILED),
            ("a else 90%", WaitOutcome.PARTIAL),
            ("a else 90% after 2h", WaitOutcome.NOT_YET),
            ("a else 99% after 2h", WaitOutcome.WRITE_FAILED),
        ],
    )
    def test_end_a_wait_that_can_end_in_no_other_way(self, text: str, outcome: WaitOutcome) -> None:
        """One hour of a has failed, b is ready, and c is not."""
        ready, failed = {"a": ALL, "b": ALL, "c": NONE}, {"a": [3]}
        for on_failed in ("fail", "wait"):
            wait = awaited(text, on_failed)
            found = [
                assess(
                    each,
                    as_of=7,
                    published=[each.interval] if ready[each.source_name] else [],
                    blockers=[
                        partition("failed", Interval(each.interval.start, each.interval.start + HOUR))
                        for _ in failed.get(each.source_name, ())
                    ],
                )
                for each in wait.questions
            ]
            waits = on_failed == "wait" and outcome is WaitOutcome.WRITE_FAILED
            assert wait.judge(found, NOW).outcome is (WaitOutcome.NOT_YET if waits else outcome)


def test_each_question_is_asked_once() -> None:
    wait = awaited("all(a, any(a, b) else a[-1 day] after 2h, b else 95%, a[+0 days])")
    assert [(each.source_name, each.interval.start) for each in wait.questions] == [
        ("a", NOW),
        ("b", NOW),
        ("a", NOW - timedelta(days=1)),
    ]


def test_each_answer_that_decided_is_told_once() -> None:
    wait = awaited("all(a, any(b, a))")
    verdict = wait.judge(answers(wait, a=ALL, b=NONE), NOW)
    assert [each.readiness.question.source_name for each in verdict.decided] == ["a"]


def test_only_partial_coverage_needs_reasons() -> None:
    assert awaited("a else 95%").needs_reasons
    assert not awaited("all(a, b else c after 2h)").needs_reasons


# The oracle: conditions are tuples, and a part that is met is known by its name and its hours.

parts = st.tuples(st.just("part"), st.sampled_from(SOURCES), st.integers(0, HOURS - 1))
trees = st.recursive(
    parts,
    lambda inner: st.one_of(
        st.tuples(st.just("all"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(
            st.just("else"),
            inner,
            st.lists(st.tuples(inner, st.one_of(st.none(), st.integers(1, 180))), min_size=1, max_size=2),
        ),
    ),
    max_leaves=6,
)


def written(tree: Any) -> str:
    match tree:
        case ("part", name, 0):
            return str(name)
        case ("part", name, missing):  # a percentage stands only beside what it is a part of
            return f"any({name} else {100 - 5 * missing}%)"
        case ("all", members):
            return f"all({', '.join(map(written, members))})"
        case (_, first, others):
            chain = [written(first)]
            chain += [
                f"{written(each)} after {minutes}m" if minutes else written(each) for each, minutes in others
            ]
            return f"any({' else '.join(chain)})"
    raise AssertionError(tree)


def expected(tree: Any, ready: dict[str, set[int]], failed: dict[str, set[int]], minutes: int) -> Any:
    """The sources that decide, ``"failed"`` if that is hopeless, or None."""
    match tree:
        case ("part", name, missing):
            if len(ready[name] - failed[name]) >= HOURS - missing:
                return {name}
            return "failed" if failed[name] else None
        case ("all", members):
            found = [expected(each, ready, failed, minutes) for each in members]
            if "failed" in found:
                return "failed"
            return None if None in found else set().union(*found)
        case (_, first, others):
            choices = [(first, None), *others]
            found = [expected(each, ready, failed, minutes) for each, _ in choices]
            for each, (_, after) in zip(found, choices, strict=True):
                if isinstance(each, set) and (after is None or after <= minutes):
                    return each
            return "failed" if all(each == "failed" for each in found) else None
    raise AssertionError(tree)


some_hours = st.sets(st.integers(0, HOURS - 1))
most_hours = some_hours.map(lambda each: set(range(HOURS)) - set(sorted(each)[:3]))
of_sources = st.fixed_dictionaries({name: st.one_of(most_hours, some_hours) for name in SOURCES})
few_failed = st.fixed_dictionaries(
    {name: st.one_of(st.just(set()), st.sets(st.integers(0, HOURS - 1), max_size=2)) for name in SOURCES}
)


@given(trees, of_sources, few_failed, st.integers(0, 200))
def test_the_verdict_is_that_of_the_oracle(
    tree: Any, ready: dict[str, set[int]], failed: dict[str, set[int]], minutes: int
) -> None:
    wait = awaited(written(tree), on_failed="fail")
    found = [answer(each, ready[each.source_name], failed[each.source_name]) for each in wait.questions]
    now = NOW + minutes * MINUTE
    verdict = wait.judge(found, now)
    wanted = expected(tree, ready, failed, minutes)
    if not isinstance(wanted, set):
        assert verdict.decided == ()
        assert verdict.outcome is (WaitOutcome.WRITE_FAILED if wanted else WaitOutcome.NOT_YET)
        return
    assert {each.readiness.question.source_name for each in verdict.decided} == wanted
    is_complete = all(len(ready[name] - failed[name]) == HOURS for name in wanted)
    assert verdict.outcome is (WaitOutcome.READY if is_complete else WaitOutcome.PARTIAL)
    for each in verdict.decided:
        there = ready[each.readiness.question.source_name] - failed[each.readiness.question.source_name]
        assert each.readiness.is_ready == (len(there) == HOURS)
        assert each.coverage == len(there) / HOURS
        gone = {
            hour for hour in range(HOURS) if any(gap.contains(hours(hour, hour + 1)) for gap in each.missing)
        }
        assert gone == set(range(HOURS)) - there


@given(trees, of_sources, few_failed, st.integers(0, 200))
def test_nothing_changes_between_two_moments(
    tree: Any, ready: dict[str, set[int]], failed: dict[str, set[int]], minutes: int
) -> None:
    """So that it is enough to ask again at the next moment, and when something happens."""
    wait = awaited(written(tree), on_failed="fail")
    found = [answer(each, ready[each.source_name], failed[each.source_name]) for each in wait.questions]
    now = NOW + minutes * MINUTE
    until = wait.next_moment(now) or now + 1000 * HOUR
    assert wait.judge(found, now) == wait.judge(found, until - timedelta(microseconds=1))
