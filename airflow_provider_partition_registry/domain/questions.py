"""Questions about readiness and their answers: values that explain themselves (R1, R2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval, check_interval, to_instant
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.names import check_name


@dataclass(frozen=True, slots=True)
class Question:
    """May ``interval`` of the source be read?

    :param published_after: ask also that every instant was published at or after this one (R8). A publishing time
        in the future proves nothing and does not count.
    :raises InvalidInputError: the name is not valid, or the interval is not an :class:`Interval`.
    """

    source_name: str
    interval: Interval
    published_after: datetime | None = None

    def __post_init__(self) -> None:
        check_name("source name", self.source_name)
        check_interval(self.interval)
        if self.published_after is not None:
            object.__setattr__(self, "published_after", to_instant(self.published_after))

    def __str__(self) -> str:
        return f"{self.interval} of source {self.source_name!r}"


GREATEST_AGE = 300
"""How many seconds old an answer may be at most, if the asker accepts older ones than the present."""


def check_max_age(seconds: int) -> int:
    """Return ``seconds`` if an asker may accept answers of that age.

    :raises InvalidInputError: it is no whole number from 0 to :data:`GREATEST_AGE`.
    """
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= GREATEST_AGE:
        raise InvalidInputError(
            f"How old an answer may be is a whole number of seconds up to {GREATEST_AGE}, not {seconds!r}."
        )
    return seconds


def check_questions(value: Sequence[Question]) -> Sequence[Question]:
    """Return ``value`` if it is a sequence of questions.

    :raises InvalidInputError: it is anything else.
    """
    if not isinstance(value, Sequence) or not all(isinstance(each, Question) for each in value):
        raise InvalidInputError("Give a sequence of Questions.")
    return value


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer to a question (R1), which explains itself (R2).

    :param gaps: intervals in which nobody has published anything, merged and in order.
    :param blockers: every locked, expired or failed partition that overlaps the question.
    :param stale: intervals in which nothing is known to have been published at or after ``published_after`` (R8).
    :param as_of: position in the source's history that the answer belongs to (R7).

    As a condition it is true if the data is ready.
    """

    question: Question
    is_ready: bool
    as_of: int
    gaps: tuple[Interval, ...] = ()
    blockers: tuple[Partition, ...] = ()
    stale: tuple[Interval, ...] = ()

    def __bool__(self) -> bool:
        return self.is_ready


Answer = Readiness | UnknownSourceError
"""The answer to one of several questions."""
