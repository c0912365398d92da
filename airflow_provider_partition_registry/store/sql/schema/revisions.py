"""The schema: checked once per process, and upgraded by Alembic with the same migrations on both databases."""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
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
from airflow_provider_partition_registry.store.sql.schema import afterwards
from airflow_provider_partition_registry.store.sql.schema.tables import (
    DERIVED_TABLES,
    VERSION_TABLE,
    event_position,
    metadata,
)

if TYPE_CHECKING:
    from alembic.config import Config

    from airflow_provider_partition_registry.store.sql.database.engine import Database

log = logging.getLogger(__name__)

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010_since_0009")
"""All revisions, oldest first; the same as in ``migrations/versions``, which only an upgrade loads.

A revision names the oldest one whose versions of the package may go on with its schema: ``0012_since_0009``. They
read and write it, and are started anew, as if it were theirs. Without that, only versions that know a schema use it.
"""

HEAD = REVISIONS[-1]
MIGRATIONS = Path(__file__).parent / "migrations"
TABLES = frozenset({VERSION_TABLE, *metadata.tables})
"""All tables of a registry whose schema is at :data:`HEAD`."""

# Alembic's migrations use state that is global to a process: two upgrades at once would change each other's database.
_one_at_a_time = threading.Lock()

_SINCE = "_since_"

# Held while migrating: of several replicas that start at once, one upgrades and the others find it done.
_UPGRADE_LOCK = 7_305_144_839_215_771


def current(database: Database) -> str | None:
    """The revision of the database's schema, or None if it holds no registry.

    :raises SchemaDamagedError: some of its tables are missing.
    """
    return database.read(lambda connection: _current(connection, database))


def check(database: Database) -> None:
    """Check that this version can use the schema. A SQLite registry is created or upgraded in doing so.

    :raises SchemaMissingError: the database holds no registry.
    :raises SchemaOutdatedError: an older version's schema.
    :raises SchemaNewerError: a newer version's schema, which this one cannot use.
    :raises SchemaBlockedError: rows in an older version's SQLite registry break constraints.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    if database.is_sqlite and current(database) in (None, *REVISIONS[:-1]):
        upgrade(database)
    require(database)


def require(database: Database, *, is_own: bool = False) -> str:
    """Return the schema's revision if this version can use it. Creates and upgrades nothing.

    :param is_own: whether a newer one will not do, as the tables themselves are to be worked on.
    :raises SchemaMissingError: the database holds no registry.
    :raises SchemaOutdatedError: an older version's schema.
    :raises SchemaNewerError: a newer version's schema, which this one cannot use.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    found = current(database)
    if found is None:
        raise SchemaMissingError(database.name)
    if found == HEAD or (_is_usable(found) and not is_own):
        return found
    if found in REVISIONS:
        raise SchemaOutdatedError(database.name, found, HEAD)
    raise SchemaNewerError(database.name, found, HEAD)


def upgrade(database: Database) -> str:
    """Bring the schema up to date. Does nothing if it is, or if it is a newer one that this version can use.

    On SQLite, and for a new registry, that is one transaction. On PostgreSQL each revision is one, in which tables are
    locked for an instant; what takes longer follows. So an upgrade that ends early is taken up by the next one.

    :return: the revision that it is at now.
    :raises SchemaNewerError: a newer version's schema, which this one cannot use.
    :raises SchemaBlockedError: rows break constraints of a revision, which has changed nothing.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    # Imported before the transaction: on a busy machine the import takes seconds, for which everybody would wait.
    import alembic.command  # noqa: F401

    with _one_at_a_time:
        if database.is_sqlite:
            return database.rebuild(partial(_upgrade, database=database, to="head"))
        reached = REVISIONS[0]
        while reached in REVISIONS[:-1]:
            reached = database.write(partial(_upgrade_by_one, database=database), is_unlimited=True)
        if reached == HEAD:
            afterwards.build_indexes(database)
            afterwards.validate_constraints(database)
        return reached


def is_at_head(connection: Connection) -> bool:
    """Whether the schema is this version's own, not a newer one that it can use."""
    return _revision(connection) == HEAD


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


def alembic_config(connection: Connection, database: Database) -> Config:
    """What Alembic needs to run our migrations over an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes.update(connection=connection, database=database.name)
    return config


def _upgrade_by_one(connection: Connection, database: Database) -> str:
    """Upgrade a registry in PostgreSQL by one revision, or make a new one."""
    afterwards.allow_time(connection)
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
    found = _current(connection, database)
    is_older = found in REVISIONS[:-1]
    return _upgrade(connection, database, REVISIONS[REVISIONS.index(str(found)) + 1] if is_older else "head")


def _upgrade(connection: Connection, database: Database, to: str) -> str:
    from alembic import command

    found = _current(connection, database)
    if found is not None and (found == HEAD or _is_usable(found)):
        return found
    if found is not None and found not in REVISIONS:
        raise SchemaNewerError(database.name, found, HEAD)
    command.upgrade(alembic_config(connection, database), to)
    reached = HEAD if to == "head" else to
    log.info("The tables are changed to schema %s.", reached)
    return reached


def _is_usable(found: str) -> bool:
    """Whether a schema that this version does not know is one that it may go on with."""
    oldest = found.partition(_SINCE)[2]
    return found not in REVISIONS and bool(oldest) and oldest <= HEAD.partition(_SINCE)[0]


def _let_children_upgrade() -> None:
    """Give a forked child a lock of its own, as the thread that may hold this one does not exist there."""
    global _one_at_a_time  # noqa: PLW0603
    _one_at_a_time = threading.Lock()


os.register_at_fork(after_in_child=_let_children_upgrade)


def _current(connection: Connection, database: Database) -> str | None:
    found = _revision(connection)
    if found is None or found == HEAD or _is_usable(found):
        # Looked up after the revision: an upgrade in between can only have added tables.
        missing = missing_tables(connection)
        if found is None and not missing:
            found = _revision(connection)  # It exists now if somebody created the registry in between.
            missing = frozenset() if found else frozenset({VERSION_TABLE})
        if missing and (found is not None or missing != _expected(connection)):
            is_repairable = found == HEAD and missing.issubset(
                each.name for each in (*DERIVED_TABLES, event_position)
            )
            raise SchemaDamagedError(database.name, sorted(missing), is_repairable=is_repairable)
    return found


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
