"""What somebody waits for: a condition as questions to the registry, and what the answers to them mean for it.

All questions are asked together, so that the answers belong to one moment (R2). Whether an alternative counts already
depends on the time besides, so a wait can end although nothing has happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from airflow_provider_partition_registry.domain.explanation import explain, explain_partial
from airflow_provider_partition_registry.domain.intervals import Interval, clip, format_to_the_second, union
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import (
    WaitOutcome,
    WaitPolicy,
    failed_writes,
    missing_sources,
)

COMPLETE = Fraction(1)

Answers = Mapping[Question, Answer]


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """An answer, and how much of the interval is ready.

    :param coverage: what fraction of its length, from 0 to 1.
    :param missing: the rest of it, merged and in order; empty if all of it is ready.
    """

    readiness: Readiness
    coverage: float
    missing: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, answer: Readiness) -> PartAnswer:
        """Compute how much is ready, of an answer that is explained."""
        missing = missing_of(answer)
        return cls(answer, float(coverage_of(answer.question.interval, missing)), missing)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the answers mean for somebody who waits.

    :param outcome: :attr:`WaitOutcome.PARTIAL` if the condition is met, but accepts that something is missing.
    :param decided: the answers that decided, if it is met.
    """

    outcome: WaitOutcome
    decided: tuple[PartAnswer, ...] = ()

    @property
    def is_met(self) -> bool:
        """Whether what was waited for is there, as far as the condition asks for it."""
        return self.outcome in (WaitOutcome.READY, WaitOutcome.PARTIAL)


@dataclass(frozen=True, slots=True)
class AwaitedPart:
    """An interval of one source.

    :param enough: what fraction of it has to be ready.
    """

    question: Question
    enough: Fraction = COMPLETE

    def __str__(self) -> str:
        return str(self.question) if self.enough == 1 else f"{as_percent(self.enough)} of {self.question}"

    def parts(self) -> Iterator[AwaitedPart]:
        """All parts of the condition, in order."""
        yield self

    def all_alternatives(self) -> Iterator[AwaitedAlternative]:
        """All alternatives in it."""
        return iter(())

    def judge(self, answers: Answers, now: datetime) -> Verdict:
        """What the answers mean for it; a failed write counts as such unless enough is ready all the same."""
        answer = answers[self.question]
        if not isinstance(answer, Readiness):
            return Verdict(WaitOutcome.NOT_YET)
        if answer.is_ready:
            return Verdict(WaitOutcome.READY, (PartAnswer.of(answer),))
        if coverage_of(self.question.interval, missing_of(answer)) >= self.enough:
            return Verdict(WaitOutcome.PARTIAL, (PartAnswer.of(answer),))
        return Verdict(WaitOutcome.WRITE_FAILED if failed_writes([answer]) else WaitOutcome.NOT_YET)


@dataclass(frozen=True, slots=True)
class AwaitedAll:
    """All of several conditions."""

    conditions: tuple[Node, ...]

    def __str__(self) -> str:
        return f"all of ({'; '.join(map(str, self.conditions))})"

    def parts(self) -> Iterator[AwaitedPart]:
        """All parts of the condition, in order."""
        return (part for each in self.conditions for part in each.parts())

    def all_alternatives(self) -> Iterator[AwaitedAlternative]:
        """All alternatives in it."""
        return (alternative for each in self.conditions for alternative in each.all_alternatives())

    def judge(self, answers: Answers, now: datetime) -> Verdict:
        """What the answers mean for it."""
        verdicts = [each.judge(answers, now) for each in self.conditions]
        outcomes = {each.outcome for each in verdicts}
        for outcome in (WaitOutcome.WRITE_FAILED, WaitOutcome.NOT_YET):
            if outcome in outcomes:
                return Verdict(outcome)
        decided = tuple(dict.fromkeys(answer for each in verdicts for answer in each.decided))
        return Verdict(WaitOutcome.PARTIAL if WaitOutcome.PARTIAL in outcomes else WaitOutcome.READY, decided)


@dataclass(frozen=True, slots=True)
class AwaitedAlternative:
    """One of several conditions of which one is enough.

    :param counts_from: when it begins to count; None if it always counts.
    """

    condition: Node
    counts_from: datetime | None

    def counts_at(self, now: datetime) -> bool:
        """Whether it counts."""
        return self.counts_from is None or self.counts_from <= now


@dataclass(frozen=True, slots=True)
class AwaitedAny:
    """One of several conditions: the first that is met of those that count."""

    alternatives: tuple[AwaitedAlternative, ...]

    def __str__(self) -> str:
        return f"any of ({'; '.join(str(each.condition) for each in self.alternatives)})"

    def parts(self) -> Iterator[AwaitedPart]:
        """All parts of the condition, in order."""
        return (part for each in self.alternatives for part in each.condition.parts())

    def all_alternatives(self) -> Iterator[AwaitedAlternative]:
        """All alternatives in it."""
        for each in self.alternatives:
            yield each
            yield from each.condition.all_alternatives()

    def judge(self, answers: Answers, now: datetime) -> Verdict:
        """What the answers mean for it; a failed write counts only if it spoils every alternative."""
        verdicts = [each.condition.judge(answers, now) for each in self.alternatives]
        for alternative, verdict in zip(self.alternatives, verdicts, strict=True):
            if verdict.is_met and alternative.counts_at(now):
                return verdict
        if all(each.outcome is WaitOutcome.WRITE_FAILED for each in verdicts):
            return Verdict(WaitOutcome.WRITE_FAILED)
        return Verdict(WaitOutcome.NOT_YET)


Node = AwaitedPart | AwaitedAll | AwaitedAny


class Awaited:
    """A condition that somebody waits for.

    :param policy: what ends the wait besides.
    """

    @classmethod
    def of_questions(cls, questions: Iterable[Question], policy: WaitPolicy) -> Awaited:
        """The condition that everything is ready."""
        return cls(AwaitedAll(tuple(AwaitedPart(each) for each in questions)), policy)

    def __init__(self, condition: Node, policy: WaitPolicy | None = None) -> None:
        self._condition = condition
        self._policy = policy or WaitPolicy()
        self._alternatives = tuple(condition.all_alternatives())
        self.questions = tuple(dict.fromkeys(part.question for part in condition.parts()))
        """All that has to be asked, at one moment."""
        self.needs_reasons = any(part.enough < 1 for part in condition.parts())
        """Whether it can be met by answers that are not ready, and so must be explained."""

    def judge(self, answers: Sequence[Answer], now: datetime) -> Verdict:
        """What the answers to all questions mean.

        :param answers: one per question. One that is not ready and gives no reason counts as if nothing were there.
        """
        if self._policy.on_missing_source == "fail" and missing_sources(answers):
            return Verdict(WaitOutcome.SOURCE_MISSING)
        verdict = self._condition.judge(self._by_question(answers), now)
        if verdict.outcome is WaitOutcome.WRITE_FAILED and self._policy.on_failed == "wait":
            return Verdict(WaitOutcome.NOT_YET)
        return verdict

    def is_decided(self, answers: Sequence[Answer], now: datetime) -> bool:
        """Whether the wait is over."""
        return self.judge(answers, now).outcome is not WaitOutcome.NOT_YET

    def next_moment(self, now: datetime) -> datetime | None:
        """When the next alternative begins to count, without anything having to happen; None if all that will do."""
        moments = (each.counts_from for each in self._alternatives)
        return min((each for each in moments if each is not None and each > now), default=None)

    def explain(self, answers: Sequence[Answer], now: datetime) -> str:
        """Say what decided, or everything that is missing and what would be enough, now or later."""
        verdict = self.judge(answers, now)
        if verdict.is_met:
            return "\n".join(map(_explain_decided, verdict.decided))
        lines = [explain(answer) for answer in answers if not (isinstance(answer, Readiness) and answer)]
        return "\n".join([*lines, *self._partial(self._by_question(answers)), *self._later(now)])

    def _partial(self, answers: Answers) -> Iterable[str]:
        for part in dict.fromkeys(each for each in self._condition.parts() if each.enough < 1):
            answer = answers[part.question]
            if isinstance(answer, Readiness) and not answer.is_ready:
                found = coverage_of(answer.question.interval, missing_of(answer))
                least = as_percent(part.enough)
                yield f"{as_percent(found)} of {part.question} is ready; at least {least} is asked for."

    def _later(self, now: datetime) -> Iterable[str]:
        for each in self._alternatives:
            if each.counts_from is not None and not each.counts_at(now):
                yield f"From {format_to_the_second(each.counts_from)} on {each.condition} is enough."

    def _by_question(self, answers: Sequence[Answer]) -> Answers:
        return dict(zip(self.questions, answers, strict=True))


def _explain_decided(answer: PartAnswer) -> str:
    if not answer.missing:
        return explain(answer.readiness)
    interval = answer.readiness.question.interval
    return explain_partial(answer.readiness, as_percent(coverage_of(interval, answer.missing)))


def missing_of(answer: Readiness) -> tuple[Interval, ...]:
    """What is not ready of the interval of an answer, merged and in order.

    Without a reason all of it: an answer that is not explained does not say how much is ready.
    """
    if answer.is_ready:
        return ()
    interval = answer.question.interval
    reasons = (*answer.gaps, *answer.stale, *(blocker.interval for blocker in answer.blockers))
    return union(clip(reasons, interval)) or (interval,)


def coverage_of(interval: Interval, missing: Iterable[Interval]) -> Fraction:
    """What fraction of an interval's length is not missing."""
    return 1 - Fraction(sum(map(_length, missing)), _length(interval))


def as_percent(fraction: Fraction) -> str:
    """A fraction in per cent, rounded down to hundredths: what is not complete is not said to be."""
    hundredths = fraction * 10_000 // 1
    return f"{hundredths / 100:g} %"


def _length(interval: Interval) -> int:
    return (interval.end - interval.start) // timedelta(microseconds=1)
