"""Locks on whole tables, taken so that nobody is held up for long."""

from __future__ import annotations

import logging
import time

from sqlalchemy import exc, text
from sqlalchemy.engine import Connection

log = logging.getLogger(__name__)

AT_MOST = 0.3
"""Seconds for which readers and writers queue behind an attempt to lock tables."""
LONGEST_PAUSE = 30.0
"""Seconds between two attempts."""

# PostgreSQL: canceled by the time-out, deadlock.
_IN_VAIN = {"57014", "40P01"}

_OLDEST = text(
    "SELECT pid, coalesce(nullif(application_name, ''), backend_type), state, date_trunc('second', now() - xact_start) "
    "FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE relation IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS TEXT[])) AS name) "
    "AND granted AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1"
)


def lock_tables(connection: Connection, *tables: str) -> None:
    """Keep everybody else away from tables until the transaction ends. All of a migration's are to be locked at once.

    On PostgreSQL everybody who comes later waits behind a lock that is itself being waited for, for instance until a
    ``pg_dump`` is done. So each attempt is short, and others are let through between two. SQLite needs none of this:
    its transaction that writes is the only one.

    :param tables: in the order in which writers use them.
    """
    if connection.dialect.name == "sqlite":
        return
    names = ", ".join(tables)
    # Keeps out only vacuuming and other changes of the schema, and ends an automatic vacuum that is running.
    connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE")
    pause = 1.0
    while not _is_locked(connection, names):
        _tell_whom_it_waits_for(connection, tables, pause)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _is_locked(connection: Connection, names: str) -> bool:
    connection.exec_driver_sql("SAVEPOINT unlocked")
    # A lock's own time-out would apply to each table anew.
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(AT_MOST * 1000)}")
    try:
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")
    except exc.DBAPIError as error:
        if getattr(error.orig, "pgcode", None) not in _IN_VAIN:
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT unlocked")
        return False
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    return True


def _tell_whom_it_waits_for(connection: Connection, tables: tuple[str, ...], pause: float) -> None:
    oldest = connection.execute(_OLDEST, {"tables": list(tables)}).first()
    whom = "others"
    if oldest is not None:
        process, program, state, age = oldest
        whom = f"process {process} ({program}, {state}), whose transaction began {age} ago"
    log.warning(
        "The upgrade waits for %s: it needs %s for an instant. Until the next attempt in %g s nobody is held up.",
        whom,
        ", ".join(tables),
        pause,
    )
