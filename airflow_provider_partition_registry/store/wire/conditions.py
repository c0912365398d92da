"""Conditions over several sources and their answers, to JSON and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from airflow_provider_partition_registry.domain.awaiting import Awaited, PartAnswer
from airflow_provider_partition_registry.domain.condition_text import MAX_LENGTH, read_condition
from airflow_provider_partition_registry.domain.conditions import Occasion
from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval, to_instant
from airflow_provider_partition_registry.domain.questions import Answer, Readiness
from airflow_provider_partition_registry.domain.waiting import WaitOutcome
from airflow_provider_partition_registry.store.wire.answers import Problem, error_to_data
from airflow_provider_partition_registry.store.wire.fields import Body, End, PublishedAfter, Start, instant


class ConditionBody(Body):
    """May several sources be read, as far as a condition asks for it?"""

    condition: Annotated[
        str,
        Field(
            description="What must be ready of which sources.",
            examples=["all(sales, clicks else 95% after 30m, stock[-1 day])"],
            json_schema_extra={"minLength": 1, "maxLength": MAX_LENGTH},
        ),
    ]
    start: Start
    end: End
    timezone: Annotated[
        str, Field(description="The time zone of days, months and times of day.", examples=["Europe/Berlin"])
    ] = "UTC"
    published_after: PublishedAfter = None
    began_at: Annotated[
        str | None,
        instant(
            "When the wait began, from which periods count: that of the first of several requests. By default now.",
            "2026-11-02T00:10:00Z",
        ),
    ] = None

    def awaited(self, now: datetime) -> Awaited:
        """Convert to the domain's condition.

        :raises InvalidInputError: it is not valid.
        """
        occasion = Occasion(
            Interval(self.start, self.end),
            now if self.began_at is None else to_instant(self.began_at),
            self.timezone,
            None if self.published_after is None else to_instant(self.published_after),
        )
        return Awaited(read_condition(self.condition).on(occasion))


@dataclass(frozen=True, slots=True)
class PartAnswerOrProblem:
    """The answer to a part of a condition.

    :param coverage: what fraction of its interval is ready, from 0 to 1.
    :param missing: the rest of it.
    """

    readiness: Readiness | None = None
    coverage: float = 0.0
    missing: tuple[Interval, ...] = ()
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class ConditionAnswer:
    """What is known about a condition.

    :param is_partial: whether it is met, and something is missing all the same.
    :param answers: those that decided, or all of them if it is not met.
    """

    is_met: bool
    is_partial: bool
    answers: tuple[PartAnswerOrProblem, ...]

    @classmethod
    def of(cls, awaited: Awaited, answers: Sequence[Answer], now: datetime) -> ConditionAnswer:
        """Judge the answers to all questions of a condition."""
        verdict = awaited.judge(answers, now)
        told = map(_of_part, verdict.decided) if verdict.is_met else map(_of_answer, answers)
        return cls(verdict.is_met, verdict.outcome is WaitOutcome.PARTIAL, tuple(told))


def _of_answer(answer: Answer) -> PartAnswerOrProblem:
    if isinstance(answer, UnknownSourceError):
        return PartAnswerOrProblem(error=Problem(**error_to_data(answer)["error"]))
    return _of_part(PartAnswer.of(answer))


def _of_part(answer: PartAnswer) -> PartAnswerOrProblem:
    return PartAnswerOrProblem(answer.readiness, answer.coverage, answer.missing)
