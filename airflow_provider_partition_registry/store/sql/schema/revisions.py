"""The schema: checked once per process, brought up to date by Alembic, one list of migrations for both databases."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Text, column, func, inspect, select, table, text
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import (
    SchemaDamagedError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOutdatedError,
)
from airflow_provider_partition_registry.store.sql.schema.tables import (
    DERIVED_TABLES,
    VERSION_TABLE,
    metadata,
)

if TYPE_CHECKING:
    from alembic.config import Config

    from airflow_provider_partition_registry.store.sql.database.engine import Database

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""All revisions, oldest first; the same as in ``migrations/versions``, which only an upgrade needs to load."""

HEAD = REVISIONS[-1]
MIGRATIONS = Path(__file__).parent / "migrations"
TABLES = frozenset({VERSION_TABLE, *metadata.tables})
"""All tables of a registry at :data:`HEAD`."""

# What Alembic's migrations run on is global to a process: two upgrades at once would change each other's database.
_one_at_a_time = threading.Lock()

# Held while migrating: of several replicas that start at once one upgrades and the others find it done.
_UPGRADE_LOCK = 7_305_144_839_215_771


def current(database: Database) -> str | None:
    """The revision of the database's schema, or None if it holds no registry.

    :raises SchemaDamagedError: some of its tables are missing.
    """
    return database.read(lambda connection: _current(connection, database))


def check(database: Database) -> None:
    """Make sure the schema is the one this version needs. A SQLite registry is created or upgraded on the way.

    :raises SchemaMissingError: the database holds no registry.
    :raises SchemaOutdatedError: an older version's schema.
    :raises SchemaNewerError: a newer version's schema.
    :raises SchemaBlockedError: rows in an older version's SQLite registry break constraints.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    if database.is_sqlite and current(database) in (None, *REVISIONS[:-1]):
        upgrade(database)
    require(database)


def require(database: Database) -> str:
    """The schema's revision, if it is the one this version needs. Creates and upgrades nothing.

    :raises SchemaMissingError: the database holds no registry.
    :raises SchemaOutdatedError: an older version's schema.
    :raises SchemaNewerError: a newer version's schema.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    found = current(database)
    if found == HEAD:
        return found
    if found is None:
        raise SchemaMissingError(database.name)
    if found in REVISIONS:
        raise SchemaOutdatedError(database.name, found, HEAD)
    raise SchemaNewerError(database.name, found, HEAD)


def upgrade(database: Database) -> str:
    """Bring the schema up to date, in one transaction, and then have its constraints validated. Does nothing if it is.

    :return: the revision it is at now.
    :raises SchemaNewerError: a newer version's schema.
    :raises SchemaBlockedError: rows break constraints of the new schema; nothing was changed.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    # Loaded before the transaction: on a busy machine it takes seconds, for which all others would wait.
    import alembic.command  # noqa: F401

    with _one_at_a_time:
        database.rebuild(lambda connection: _upgrade(connection, database))
        if not database.is_sqlite:
            database.write(_validate_constraints, is_unlimited=True)
    return HEAD


def missing_tables(connection: Connection) -> frozenset[str]:
    """The tables of a registry at :data:`HEAD` that are not there."""
    if connection.dialect.name == "sqlite":
        catalogue, name, is_seen = table("sqlite_master"), column("name", Text), column("type") == "table"
    else:
        # Like every statement of ours, it goes by the search path.
        catalogue, name = table("pg_class"), column("relname", Text)
        is_seen = func.pg_table_is_visible(column("oid"))
    found = select(name).select_from(catalogue).where(name.in_(TABLES), is_seen)
    return TABLES.difference(connection.execute(found).scalars())


def check_constraints(connection: Connection, table_name: str) -> dict[str, bool]:
    """The names of a table's CHECK constraints, and whether each is known to hold for all rows that are there."""
    found = inspect(connection).get_check_constraints(table_name)
    return {str(each["name"]): not each.get("dialect_options", {}).get("not_valid") for each in found}


def alembic_config(connection: Connection, database: Database) -> Config:
    """What Alembic needs to run our migrations over an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes.update(connection=connection, database=database.name)
    return config


def _upgrade(connection: Connection, database: Database) -> None:
    from alembic import command

    if not database.is_sqlite:
        _allow_time(connection)
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
    found = _current(connection, database)
    if found is not None and found not in REVISIONS:
        raise SchemaNewerError(database.name, found, HEAD)
    if found != HEAD:
        command.upgrade(alembic_config(connection, database), "head")


def _validate_constraints(connection: Connection) -> None:
    """Have PostgreSQL look through the rows that were there before a constraint was, which holds up nobody.

    In the transaction that adds it, readers and writers would wait for that.
    """
    _allow_time(connection)
    for table_name in metadata.tables:
        are_valid = check_constraints(connection, table_name)
        validate = ", ".join(f"VALIDATE CONSTRAINT {name}" for name in are_valid if not are_valid[name])
        if validate:
            connection.exec_driver_sql(f"ALTER TABLE {table_name} {validate}")


def _allow_time(connection: Connection) -> None:
    connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))


def _let_children_upgrade() -> None:
    """A forked child must not wait for a thread that it does not have."""
    global _one_at_a_time  # noqa: PLW0603
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_let_children_upgrade)


def _current(connection: Connection, database: Database) -> str | None:
    found = _revision(connection)
    if found in (None, HEAD):
        # Looked for after the revision: an upgrade in between can only have added tables.
        missing = missing_tables(connection)
        if found is None and not missing:
            found = _revision(connection)  # There is one if somebody created the registry in between.
            missing = frozenset() if found else frozenset({VERSION_TABLE})
        if missing and (found == HEAD or missing != TABLES):
            is_repairable = missing.issubset(each.name for each in DERIVED_TABLES)
            raise SchemaDamagedError(database.name, sorted(missing), is_repairable=is_repairable)
    return found


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
