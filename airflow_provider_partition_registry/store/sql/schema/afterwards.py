"""What an upgrade of PostgreSQL does once the tables are changed: all that takes long, beside readers and writers.

In the transaction that changes the tables, everybody would have to wait for it. Each function does what is left to do,
so that an upgrade which was killed is taken up by the next one.
"""

from __future__ import annotations

import logging
import re
from functools import partial

from sqlalchemy import Index, bindparam, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateIndex

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema.table_locks import lock_tables
from airflow_provider_partition_registry.store.sql.schema.tables import metadata

log = logging.getLogger(__name__)

_FOUND = {
    dialect: text(statement).bindparams(bindparam("names", expanding=True))
    for dialect, statement in {
        "postgresql": "SELECT relname AS name, indisvalid AS is_valid FROM pg_class JOIN pg_index ON indexrelid = oid "
        "WHERE relname IN :names AND pg_table_is_visible(oid)",
        "sqlite": "SELECT name, 1 AS is_valid FROM sqlite_master WHERE type = 'index' AND name IN :names",
    }.items()
}


def build_indexes(database: Database) -> None:
    """Build the indexes that are not there, or were left half-built."""
    while missing := database.read(missing_indexes):
        table_name, index = missing[0]
        if database.is_sqlite:
            database.write(partial(index.create, checkfirst=True), is_unlimited=True)
        elif not database.write(
            partial(_make_way, table_name=table_name, name=str(index.name)), is_unlimited=True
        ):
            database.run_alone(_create_concurrently(index))
            log.info("The index %s is built.", index.name)


def validate_constraints(database: Database) -> None:
    """Have PostgreSQL check the rows that are older than a constraint."""
    for table_name in metadata.tables:
        database.write(partial(_validate_constraints, table_name=table_name), is_unlimited=True)


def check_constraints(connection: Connection, table_name: str) -> dict[str, bool]:
    """The names of a table's CHECK constraints, and whether each is known to hold for all existing rows."""
    found = inspect(connection).get_check_constraints(table_name)
    return {str(each["name"]): not each.get("dialect_options", {}).get("not_valid") for each in found}


def allow_time(connection: Connection) -> None:
    """Let a transaction and its statements take as long as they need."""
    for each in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {each} = 0"))


def missing_indexes(connection: Connection) -> list[tuple[str, Index]]:
    """The indexes, with their tables, that are not there or that PostgreSQL does not use as they are half-built."""
    wanted = {
        str(index.name): (name, index) for name, table in metadata.tables.items() for index in table.indexes
    }
    are_valid = _are_valid(connection, list(wanted))
    return [wanted[name] for name in sorted(wanted) if not are_valid.get(name)]


def _are_valid(connection: Connection, names: list[str]) -> dict[str, bool]:
    found = connection.execute(_FOUND[connection.dialect.name], {"names": names})
    return {row.name: bool(row.is_valid) for row in found}


def _make_way(connection: Connection, table_name: str, name: str) -> bool:
    """Drop an index that was left half-built; returns whether somebody else has just built it."""
    allow_time(connection)
    # Whoever builds an index holds this lock until it is built.
    connection.exec_driver_sql(f"LOCK TABLE {table_name} IN SHARE UPDATE EXCLUSIVE MODE")
    is_valid = _are_valid(connection, [name]).get(name)
    if is_valid is False:
        lock_tables(connection, table_name)
        connection.exec_driver_sql(f"DROP INDEX {name}")
    return bool(is_valid)


def _create_concurrently(index: Index) -> str:
    statement = str(CreateIndex(index).compile(dialect=postgresql.dialect()))
    return re.sub("INDEX", "INDEX CONCURRENTLY IF NOT EXISTS", statement, count=1)


def _validate_constraints(connection: Connection, table_name: str) -> None:
    allow_time(connection)
    are_valid = check_constraints(connection, table_name)
    validate = ", ".join(f"VALIDATE CONSTRAINT {name}" for name in are_valid if not are_valid[name])
    if validate:
        connection.exec_driver_sql(f"ALTER TABLE {table_name} {validate}")
        log.info("The constraints of %s are validated.", table_name)
