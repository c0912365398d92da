"""The schema: checked once per process, and upgraded by Alembic with the same migrations on both databases."""

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
    event_position,
    metadata,
)

if TYPE_CHECKING:
    from alembic.config import Config

    from airflow_provider_partition_registry.store.sql.database.engine import Database

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""All revisions, oldest first; the same as in ``migrations/versions``, which only an upgrade loads."""

HEAD = REVISIONS[-1]
MIGRATIONS = Path(__file__).parent / "migrations"
TABLES = frozenset({VERSION_TABLE, *metadata.tables})
"""All tables of a registry whose schema is at :data:`HEAD`."""

# Alembic's migrations use state that is global to a process: two upgrades at once would change each other's database.
_one_at_a_time = threading.Lock()

# Held while migrating: of several replicas that start at once, one upgrades and the others find it done.
_UPGRADE_LOCK = 7_305_144_839_215_771


def current(database: Database) -> str | None:
    """The revision of the database's schema, or None if it holds no registry.

    :raises SchemaDamagedError: some of its tables are missing.
    """
    return database.read(lambda connection: _current(connection, database))


def check(database: Database) -> None:
    """Check that the schema is the one this version needs. A SQLite registry is created or upgraded in doing so.

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
    """Return the schema's revision if it is the one this version needs. Creates and upgrades nothing.

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
    """Bring the schema up to date in one transaction, then have its constraints validated. Does nothing if it is.

    :return: the revision that it is at now.
    :raises SchemaNewerError: a newer version's schema.
    :raises SchemaBlockedError: rows break constraints of the new schema; nothing was changed.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    # Imported before the transaction: on a busy machine the import takes seconds, for which everybody would wait.
    import alembic.command  # noqa: F401

    with _one_at_a_time:
        database.rebuild(lambda connection: _upgrade(connection, database))
        if not database.is_sqlite:
            database.write(_validate_constraints, is_unlimited=True)
    return HEAD


def missing_tables(connection: Connection) -> frozenset[str]:
    """Which of the tables that a registry has at :data:`HEAD` do not exist; on PostgreSQL also the sequence."""
    expected = _expected(connection)
    if connection.dialect.name == "sqlite":
        catalogue, name, is_seen = table("sqlite_master"), column("name", Text), column("type") == "table"
    else:
        # Like all our statements, it resolves names by the search path.
        catalogue, name = table("pg_class"), column("relname", Text)
        is_seen = func.pg_table_is_visible(column("oid"))
    found = select(name).select_from(catalogue).where(name.in_(expected), is_seen)
    return expected.difference(connection.execute(found).scalars())


def _expected(connection: Connection) -> frozenset[str]:
    return TABLES if connection.dialect.name == "sqlite" else TABLES | {event_position.name}


def check_constraints(connection: Connection, table_name: str) -> dict[str, bool]:
    """The names of a table's CHECK constraints, and whether each is known to hold for all existing rows."""
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
    """Have PostgreSQL check the rows that are older than a constraint, which holds up nobody.

    In the transaction that adds the constraint, readers and writers would have to wait for this.
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
    """Give a forked child a lock of its own, as the thread that may hold this one does not exist there."""
    global _one_at_a_time  # noqa: PLW0603
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_let_children_upgrade)


def _current(connection: Connection, database: Database) -> str | None:
    found = _revision(connection)
    if found in (None, HEAD):
        # Looked up after the revision: an upgrade in between can only have added tables.
        missing = missing_tables(connection)
        if found is None and not missing:
            found = _revision(connection)  # It exists now if somebody created the registry in between.
            missing = frozenset() if found else frozenset({VERSION_TABLE})
        if missing and (found == HEAD or missing != _expected(connection)):
            is_repairable = missing.issubset(each.name for each in (*DERIVED_TABLES, event_position))
            raise SchemaDamagedError(database.name, sorted(missing), is_repairable=is_repairable)
    return found


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
