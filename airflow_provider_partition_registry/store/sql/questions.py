"""Statements about many questions at once: the questions travel as a table.

A statement is written in SQLAlchemy Core against the pseudo table ``question`` and compiled once per dialect; each
call puts a ``WITH question AS (VALUES ...)`` in front of it. SQLAlchemy's own ``values()`` is compiled anew for
every call, which costs many times what the database needs to answer.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Integer, Text, column, table
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import Select
from sqlalchemy.sql.selectable import CompoundSelect

from airflow_provider_partition_registry.domain.models import Question
from airflow_provider_partition_registry.store.sql.types import UtcInstant, to_microseconds

AT_ONCE = 1_000  # questions in one statement; SQLite takes 32,766 parameters

question = table(
    "question",
    column("n", Integer),
    column("source_name", Text),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
    column("published_after", UtcInstant),
)
_SQL_TYPES = ("INTEGER", "TEXT", "BIGINT", "BIGINT", "BIGINT")

NumberedQuestion = tuple[int, Question]
"""A question and the number under which its rows come back as ``n``."""


class _Compiled(NamedTuple):
    sql: str
    decoders: tuple[Any, ...]


class QuestionStatement:
    """A statement that selects from ``question`` and holds no bound parameters of its own."""

    def __init__(self, statement: Select | CompoundSelect) -> None:
        self._statement = statement
        self._row = _row_type(each.name for each in statement.selected_columns)
        self._compiled: dict[str, _Compiled] = {}

    def ask(self, connection: Connection, questions: Iterable[NumberedQuestion]) -> list[Any]:
        """Run it over the questions; the rows come back decoded, columns named as in the statement."""
        remaining = iter(questions)
        rows: list[Any] = []
        while some := list(islice(remaining, AT_ONCE)):
            rows += self._ask_at_once(connection, some)
        return rows

    def sql(self, dialect: Dialect, count: int = 1) -> str:
        """The text that is sent for ``count`` questions."""
        return _with_questions(count, dialect.name) + self._compile(dialect).sql

    def _ask_at_once(self, connection: Connection, questions: Sequence[NumberedQuestion]) -> list[Any]:
        dialect = connection.dialect
        parameters = tuple(value for number, asked in questions for value in _values(number, asked))
        result = connection.exec_driver_sql(self.sql(dialect, len(questions)), parameters)
        decoders = self._compile(dialect).decoders
        return [
            self._row._make(
                decode(value) if decode else value for decode, value in zip(decoders, raw, strict=True)
            )
            for raw in result
        ]

    def _compile(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            sql = str(self._statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            if dialect.name == "sqlite":
                # Joins are done in the order in which they are written; on PostgreSQL a setting sees to it.
                sql = sql.replace(" JOIN ", " CROSS JOIN ")
            # The questions go in front, before any WITH of the statement's own.
            sql = f",\n{sql.removeprefix('WITH ')}" if sql.startswith("WITH ") else f"\n{sql}"
            types = [each.type.dialect_impl(dialect) for each in self._statement.selected_columns]
            decoders = tuple(each.result_processor(dialect, None) for each in types)
            self._compiled[dialect.name] = _Compiled(sql, decoders)
        return self._compiled[dialect.name]


def _row_type(names: Iterable[str]) -> Any:
    return namedtuple("Row", names)


def _values(number: int, asked: Question) -> tuple[int, str, int, int, int | None]:
    after = asked.published_after
    return (
        number,
        asked.source_name,
        to_microseconds(asked.interval.start),
        to_microseconds(asked.interval.end),
        None if after is None else to_microseconds(after),
    )


@cache
def _with_questions(count: int, dialect_name: str) -> str:
    mark = "?" if dialect_name == "sqlite" else "%s"
    # The first row tells the types: a column may hold nothing but NULL.
    typed = ", ".join(f"CAST({mark} AS {sql_type})" for sql_type in _SQL_TYPES)
    plain = ", ".join([mark] * len(_SQL_TYPES))
    rows = "), (".join([typed, *[plain] * (count - 1)])
    names = ", ".join(question.c.keys())
    return f"WITH question ({names}) AS (VALUES ({rows}))"
