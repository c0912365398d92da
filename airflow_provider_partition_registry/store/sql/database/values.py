"""Statements that carry rows with them: many questions at once, or one claim.

A statement is written in SQLAlchemy Core against a pseudo table and compiled once per dialect. Each call puts a
``WITH question AS (...)`` with the given rows in front of it. SQLAlchemy's own ``values()`` is compiled anew for every
call, which costs many times what the database needs to answer.

To answer for one row PostgreSQL needs less than a tenth of a millisecond, but parsing and planning the statement take
several times as long. A connection that runs it again and again, such as a triggerer's, therefore prepares it. Many
rows are sent as one array per column: the text is the same however many there are, and the parameters are few.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import namedtuple
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, count
from typing import Any, NamedTuple

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.sql import Select
from sqlalchemy.sql.expression import TableClause
from sqlalchemy.sql.selectable import CompoundSelect

PREPARE_AFTER = 5
"""How often a connection runs a statement before preparing it."""

PREPARED_IS_LOST = {"26000", "42P05"}
"""PostgreSQL's codes for a prepared statement that does not exist, or exists already. A pooler such as PgBouncer may
run every transaction on another of the server's connections. The call is repeated, without a prepared statement."""

Value = int | str | None
Row = Sequence[Value]

_NEVER = -math.inf
_INNER_JOIN = re.compile(r"(?<! OUTER) JOIN ")


class Ahead(NamedTuple):
    """A statement that is sent to PostgreSQL in the same message as another, and runs before it.

    The other one sees what this one waited for: each statement of a message sees a moment of its own.
    """

    sql: str  # ends with a semicolon
    parameters: tuple[Value, ...]


NOTHING = Ahead("", ())


class _Compiled(NamedTuple):
    sql: str  # what comes after the given rows
    decoders: tuple[tuple[int, Any], ...]  # for the columns that need decoding


class ValuesStatement:
    """A statement that selects from a pseudo table of given rows. It has no bound parameters of its own.

    :param given: the pseudo table.
    """

    def __init__(self, given: TableClause, statement: Select | CompoundSelect) -> None:
        self._given = given
        self._statement = statement
        self._row = _row_type(each.name for each in statement.selected_columns)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, rows: Sequence[Row], *, ahead: Ahead = NOTHING) -> list[Any]:
        """Run it over the given rows, whose values are in the database's representation.

        :param ahead: what is to run before, on PostgreSQL.
        :return: rows with decoded values, columns named as in the statement.
        """
        compiled = self._compile(connection.dialect)
        head, parameters = _given_rows(self._given, rows, connection.dialect.name)
        if connection.dialect.name == "postgresql":
            result = _run_often(connection, head + compiled.sql, parameters, ahead)
        else:
            result = connection.exec_driver_sql(head + compiled.sql, parameters)
        return [self._decode(row, compiled.decoders) for row in result.fetchall()]

    def _decode(self, row: Any, decoders: tuple[tuple[int, Any], ...]) -> Any:
        values = list(row)
        for position, decode in decoders:
            if values[position] is not None:
                values[position] = decode(values[position])
        return self._row._make(values)

    def _compile(self, dialect: Dialect) -> _Compiled:
        if dialect.name not in self._compiled:
            sql = str(self._statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            if dialect.name == "sqlite":
                # SQLite joins in the order in which joins are written; on PostgreSQL a setting has the same effect.
                sql = _INNER_JOIN.sub(" CROSS JOIN ", sql)
            # The given rows go in front, before any WITH of the statement itself.
            sql = f",\n{sql.removeprefix('WITH ')}" if sql.startswith("WITH ") else f"\n{sql}"
            types = [each.type.dialect_impl(dialect) for each in self._statement.selected_columns]
            processors = [each.result_processor(dialect, None) for each in types]
            decoders = tuple((position, decode) for position, decode in enumerate(processors) if decode)
            self._compiled[dialect.name] = _Compiled(sql, decoders)
        return self._compiled[dialect.name]


def _row_type(names: Iterable[str]) -> Any:
    return namedtuple("Row", names)


def _given_rows(given: TableClause, rows: Sequence[Row], dialect_name: str) -> tuple[str, tuple[Any, ...]]:
    """The text in front of a statement, and its parameters."""
    if dialect_name == "postgresql" and len(rows) > 1:
        return _with_arrays(given), tuple(map(_array, zip(*rows, strict=True)))
    return _with_values(given, len(rows), dialect_name), tuple(chain.from_iterable(rows))


@lru_cache(maxsize=64)  # one text for each number of rows, of which there may be many
def _with_values(given: TableClause, row_count: int, dialect_name: str) -> str:
    mark = "?" if dialect_name == "sqlite" else "%s"
    # The types are given in the first row, since a column may hold nothing but NULL.
    typed = ", ".join(f"CAST({mark} AS {each.type})" for each in given.c)
    plain = ", ".join([mark] * len(given.c))
    rows = "), (".join([typed, *[plain] * (row_count - 1)])
    return f"{_with(given)} (VALUES ({rows}))"


@lru_cache(maxsize=64)
def _with_arrays(given: TableClause) -> str:
    columns = ", ".join(f"unnest(CAST(%s AS {each.type}[]))" for each in given.c)
    return f"{_with(given)} (SELECT {columns})"


def _with(given: TableClause) -> str:
    return f"WITH {given.name} ({', '.join(given.c.keys())}) AS"


def _array(values: Iterable[Value]) -> str:
    """An array in PostgreSQL's notation: one parameter, where the driver would quote every element by itself."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


def _run_often(connection: Connection, sql: str, parameters: tuple[Any, ...], ahead: Ahead) -> Any:
    """Run a statement on PostgreSQL, prepared after this connection has run it a few times."""
    runs = connection.info.get(sql, 0)
    connection.info[sql] = runs + 1
    if runs < PREPARE_AFTER:
        return connection.exec_driver_sql(ahead.sql + sql, ahead.parameters + parameters)
    name = _name(sql)
    try:
        if runs == PREPARE_AFTER:
            numbers = count(1)
            text = re.sub("%s", lambda _mark: f"${next(numbers)}", sql)
            connection.exec_driver_sql(f"PREPARE {name} AS {text}")
        marks = ", ".join(["%s"] * len(parameters))
        execute = f"{ahead.sql}EXECUTE {name} ({marks})"
        return connection.exec_driver_sql(execute, ahead.parameters + parameters)
    except exc.DBAPIError as error:
        if getattr(error.orig, "pgcode", None) in PREPARED_IS_LOST:
            connection.info[sql] = _NEVER
        raise


@lru_cache(maxsize=64)
def _name(sql: str) -> str:
    """A name made from the text, so that a prepared statement of this name on a connection is the same statement."""
    return f"partition_registry_{hashlib.sha256(sql.encode()).hexdigest()[:32]}"
