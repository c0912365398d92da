"""Statements that write given rows, whether or not they exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, column, select, table, true
from sqlalchemy.dialects import postgresql, sqlite

from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement


def upsert(target: Table, *, key: Sequence[str], changing: Sequence[str]) -> ValuesStatement:
    """Insert the given rows, which have all columns of the table in its order; of those that exist, change some.

    :param key: the columns of the constraint by which a row exists.
    :param changing: the columns that are changed.
    """
    given = table("given", *(column(each.name, each.type) for each in target.c))
    # Without a WHERE, SQLite would take the ON of ON CONFLICT for that of a join.
    rows = select(*given.c).where(true())
    insertions: dict[str, Any] = {"postgresql": postgresql.insert(target), "sqlite": sqlite.insert(target)}
    names = [each.name for each in target.c]
    return ValuesStatement(
        given,
        {
            dialect_name: insertion.from_select(names, rows).on_conflict_do_update(
                index_elements=key, set_={name: insertion.excluded[name] for name in changing}
            )
            for dialect_name, insertion in insertions.items()
        },
    )
