"""Many questions in portions that one call of a home can carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import Question


def in_portions(questions: Sequence[Question], at_once: int) -> Iterator[Sequence[Question]]:
    """The questions, in order, so many at a time.

    :raises InvalidInputError: it is no sequence of questions.
    """
    if not isinstance(questions, Sequence) or not all(isinstance(each, Question) for each in questions):
        raise InvalidInputError("Give a sequence of Questions.")
    for first in range(0, len(questions), at_once):
        yield questions[first : first + at_once]
