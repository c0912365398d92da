"""Statements about many questions at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Integer, Text, column, table
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select
from sqlalchemy.sql.selectable import CompoundSelect

from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.sql.database.types import UtcInstant, to_microseconds
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement

AT_ONCE = 1_000  # questions in one statement; SQLite takes 32,766 parameters

question = table(
    "question",
    column("n", Integer),
    column("source_name", Text),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
    column("published_after", UtcInstant),
    column("asked_at", UtcInstant),
    column("is_explained", Boolean),
)

NumberedQuestion = tuple[int, Question]
"""A question and the number under which its rows come back as ``n``."""


class QuestionStatement(ValuesStatement):
    """A statement that selects from ``question``."""

    def __init__(self, statement: Select | CompoundSelect) -> None:
        super().__init__(question, statement)

    def ask(
        self,
        connection: Connection,
        questions: Iterable[NumberedQuestion],
        *,
        explain: bool = False,
        asked_at: datetime | None = None,
    ) -> list[Any]:
        """Run it over the questions, at most ``AT_ONCE`` of them.

        :param explain: look closely at what is not ready.
        :param asked_at: the present, if it is not the database that tells the time.
        """
        present = None if asked_at is None else to_microseconds(asked_at)
        return self.run(
            connection, [(*_values(number, asked), present, explain) for number, asked in questions]
        )


def in_portions(questions: Sequence[Question], at_once: int) -> list[Sequence[Question]]:
    """The questions in order, in portions of this size."""
    return [questions[first : first + at_once] for first in range(0, len(questions), at_once)]


def _values(number: int, asked: Question) -> tuple[int, str, int, int, int | None]:
    after = asked.published_after
    return (
        number,
        asked.source_name,
        to_microseconds(asked.interval.start),
        to_microseconds(asked.interval.end),
        None if after is None else to_microseconds(after),
    )
