"""Statements that carry rows with them: many questions at once, claims, the rows that a change leaves.

A statement is written in SQLAlchemy Core against a pseudo table and compiled once per dialect. Each call puts a
``WITH question AS (...)`` with the given rows in front of it. SQLAlchemy's own ``values()`` is compiled anew for every
call, which costs many times what the database needs to answer.

PostgreSQL gets many rows as one array per column: the text is the same however many there are, and the parameters are
few. SQLite, which limits the number of parameters, gets them in portions.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import Select
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.selectable import CompoundSelect

from airflow_provider_partition_registry.store.sql.database.message import Message

MOST_PARAMETERS_OF_SQLITE = 32_766

Value = int | str | None
Row = Sequence[Value]
Statement = Select | CompoundSelect | UpdateBase

_INNER_JOIN = re.compile(r"(?<! OUTER) JOIN ")


class _Compiled(NamedTuple):
    sql: str  # what comes after the given rows
    decoders: tuple[tuple[int, Any], ...]  # for the columns that need decoding
    row: Any  # the type of its rows


class ValuesStatement:
    """A statement about a pseudo table of given rows. It has no bound parameters of its own.

    :param given: the pseudo table.
    :param statement: what to do with its rows; by the dialect's name if it is not the same for all.
    """

    def __init__(self, given: TableClause, statement: Statement | Mapping[str, Statement]) -> None:
        self._given = given
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, rows: Sequence[Row], *, ahead: Message | None = None) -> list[Any]:
        """Run it over the given rows, whose values are in the database's representation.

        :param ahead: statements to be sent along and run before.
        :return: rows with decoded values, columns named as in the statement.
        """
        compiled = self._compile(connection.dialect)
        message, found = ahead or Message(connection), []
        for portion in self._portions(rows, message.dialect_name):
            self._add(message, compiled.sql, portion)
            found += message.send()
            message = Message(connection)
        return [_decode(row, compiled) for row in found]

    def add_to(self, message: Message, rows: Sequence[Row]) -> None:
        """Add it to a message, over the given rows; what it returns is not told."""
        compiled = self._compile(message.connection.dialect)
        for portion in self._portions(rows, message.dialect_name):
            self._add(message, compiled.sql, portion)

    def _add(self, message: Message, sql: str, rows: Sequence[Row]) -> None:
        head, parameters = _given_rows(self._given, rows, message.dialect_name)
        message.add_frequent(head + sql, parameters)

    def _portions(self, rows: Sequence[Row], dialect_name: str) -> Iterator[Sequence[Row]]:
        at_once = MOST_PARAMETERS_OF_SQLITE // len(self._given.c) if dialect_name == "sqlite" else len(rows)
        return (rows[first : first + at_once] for first in range(0, len(rows), at_once or 1))

    def _compile(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            statement = self._statement
            if isinstance(statement, Mapping):
                statement = statement[dialect.name]
            sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            if dialect.name == "sqlite":
                # SQLite joins in the order in which joins are written; on PostgreSQL a setting has the same effect.
                sql = _INNER_JOIN.sub(" CROSS JOIN ", sql)
            # The given rows go in front, before any WITH of the statement itself.
            sql = f",\n{sql.removeprefix('WITH ')}" if sql.startswith("WITH ") else f"\n{sql}"
            columns = () if isinstance(statement, UpdateBase) else tuple(statement.selected_columns)
            processors = [each.type.dialect_impl(dialect).result_processor(dialect, None) for each in columns]
            decoders = tuple((position, decode) for position, decode in enumerate(processors) if decode)
            self._compiled[dialect.name] = _Compiled(sql, decoders, _row_type(each.name for each in columns))
        return self._compiled[dialect.name]


def _row_type(names: Iterable[str]) -> Any:
    return namedtuple("Row", names)


def _decode(row: Any, compiled: _Compiled) -> Any:
    values = list(row)
    for position, decode in compiled.decoders:
        if values[position] is not None:
            values[position] = decode(values[position])
    return compiled.row._make(values)


def _given_rows(given: TableClause, rows: Sequence[Row], dialect_name: str) -> tuple[str, tuple[Any, ...]]:
    """The text in front of a statement, and its parameters."""
    if dialect_name == "postgresql" and len(rows) > 1:
        return _with_arrays(given), tuple(map(_array, zip(*rows, strict=True)))
    return _with_values(given, len(rows), dialect_name), tuple(chain.from_iterable(rows))


@lru_cache(maxsize=64)  # one text for each number of rows, of which there may be many
def _with_values(given: TableClause, row_count: int, dialect_name: str) -> str:
    if dialect_name == "postgresql":
        # A column may hold nothing but NULL.
        marks = ", ".join(f"CAST(%s AS {each.type})" for each in given.c)
    else:
        marks = ", ".join("?" * len(given.c))
    rows = "), (".join([marks] * row_count)
    return f"{_with(given)} (VALUES ({rows}))"


@lru_cache(maxsize=64)
def _with_arrays(given: TableClause) -> str:
    columns = ", ".join(f"unnest(CAST(%s AS {each.type}[]))" for each in given.c)
    return f"{_with(given)} (SELECT {columns})"


def _with(given: TableClause) -> str:
    return f"WITH {given.name} ({', '.join(given.c.keys())}) AS"


def _array(values: Iterable[Value]) -> str:
    """An array in PostgreSQL's notation: one parameter, where the driver would quote every element by itself."""
    elements = [
        "NULL" if value is None else _quoted(value) if isinstance(value, str) else str(value)
        for value in values
    ]
    return f"{{{','.join(elements)}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
