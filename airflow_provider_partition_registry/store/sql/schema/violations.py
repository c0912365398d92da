"""Rows that break constraints: checked before an upgrade adds these, and where the database has not checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import Connection

SHOWN_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Violations:
    """How many rows break constraints, and the first few of them, each by its table, its key and what it breaks."""

    count: int
    shown: tuple[str, ...]


def find_violations(connection: Connection, constraints: Mapping[str, Mapping[str, str]]) -> Violations:
    """Search whole tables.

    :param constraints: for each table the conditions of its CHECK constraints, by name.
    """
    count, shown = 0, []
    for table, conditions in constraints.items():
        is_broken = " OR ".join(f"NOT ({condition})" for condition in conditions.values())
        rows_with_any = f"FROM {table} WHERE {is_broken}"
        found = connection.exec_driver_sql(f"SELECT count(*) {rows_with_any}").scalar_one()
        if found:
            count += found
            shown += _show(connection, table, conditions, rows_with_any)
    return Violations(count, tuple(shown[:SHOWN_AT_MOST]))


def _show(connection: Connection, table: str, conditions: Mapping[str, str], rows_with_any: str) -> list[str]:
    key = inspect(connection).get_pk_constraint(table)["constrained_columns"]
    columns = ", ".join([*key, *[f"NOT ({condition})" for condition in conditions.values()]])
    rows = connection.exec_driver_sql(
        f"SELECT {columns} {rows_with_any} ORDER BY {', '.join(key)} LIMIT {SHOWN_AT_MOST}"
    )
    return [_show_row(table, key, list(conditions), tuple(row)) for row in rows]


def _show_row(table: str, key: list[str], names: list[str], row: tuple[Any, ...]) -> str:
    values, are_broken = row[: len(key)], row[len(key) :]
    which = ", ".join(f"{column} {value}" for column, value in zip(key, values, strict=True))
    broken = [name for name, is_broken in zip(names, are_broken, strict=True) if is_broken]
    return f"{table} {which} breaks {', '.join(broken)}"
