"""Where the history lives, by which a restored backup is noticed (R9).

A copy of a registry lives elsewhere: restored tables have other internal numbers, a restored server another timeline,
a restored file another inode. The history names the home in which it was last written to. A writer that finds it
elsewhere gives it a new identity: positions go on from a number that was never given out before, so that none from a
lost part of the history is ever a place in the new one, and the lost part is noted.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exc, func, insert, select, text, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    event_position,
    history,
    restoration,
)
from airflow_provider_partition_registry.store.sql.statements.positions import (
    HOME_ON_POSTGRESQL,
    LastPosition,
)

log = logging.getLogger(__name__)

POSITIONS_PER_MICROSECOND = 2
"""No history grows faster, so a position made of the present time was never given out before. Until the year 2112 such
positions are exact in JavaScript."""

_SERVER = text("SELECT system_identifier FROM pg_control_system()")


def home_of_file(connection: Connection) -> str:
    """The home of a registry in SQLite: the inode of the file that the connection has opened.

    :raises StoreUnavailableError: the file has been moved away.
    """
    file = connection.exec_driver_sql(
        "SELECT file FROM pragma_database_list WHERE name = 'main'"
    ).scalar_one()
    try:
        return str(os.stat(file).st_ino)
    except OSError as error:
        raise StoreUnavailableError(
            f"The registry's file {file} is gone, as during a restore: {error.strerror}. Try again."
        ) from error


def find_home(connection: Connection) -> str:
    """The history's home.

    :param connection: outside a transaction, as a part of this may be refused.
    """
    if connection.dialect.name == "sqlite":
        return home_of_file(connection)
    home = connection.execute(select(HOME_ON_POSTGRESQL)).scalar_one()
    try:
        server = connection.execute(_SERVER).scalar()
    except exc.DBAPIError as error:  # the account may not call this, or the server does not offer it
        if error.connection_invalidated:
            raise
        server = None
    return f"{home}.{server}"


def named_home(connection: Connection) -> str | None:
    """The home that the history names; None if nobody has written to it yet."""
    found: Any = connection.execute(select(history.c.home)).scalar()
    return None if found is None else str(found)


def move_to(connection: Connection, home: str, now: datetime, *, is_restored: bool = False) -> None:
    """Let the history name its home, and give it a new identity if it was restored from a backup.

    :param is_restored: it was, although it may not look so.
    """
    if named_home(connection) is None and not is_restored:
        connection.execute(update(history).where(history.c.home.is_(None)).values(home=home))
        return
    if connection.dialect.name == "postgresql":
        # Nobody takes a position meanwhile, or notices the same. One table, as writers lock several in any order.
        connection.execute(text(f"LOCK TABLE {history.name} IN SHARE ROW EXCLUSIVE MODE"))
    last = connection.execute(select(func.max(event.c.position))).scalar()
    if last is not None and (is_restored or named_home(connection) != home):
        _go_on_elsewhere(connection, last, now)
    connection.execute(update(history).values(home=home))


def _go_on_elsewhere(connection: Connection, last: int, now: datetime) -> None:
    given_out = connection.execute(select(LastPosition())).scalar() or 0
    first = max(last + 1, given_out + 1, to_microseconds(now) * POSITIONS_PER_MICROSECOND)
    # One that nothing was written after is part of this one.
    connection.execute(delete(restoration).where(restoration.c.last_before == last))
    connection.execute(insert(restoration).values(first_position=first, last_before=last, noticed_at=now))
    counted = history.c.last_position.is_not(None)
    connection.execute(update(history).where(counted).values(last_position=first - 1))
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.setval(event_position.name, first - 1)))
    log.warning(
        "The registry was restored from a backup. Its history goes on at position %s; whoever has a position between "
        "%s and that one has to read anew.",
        first,
        last,
    )
