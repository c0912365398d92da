"""Statements that are sent together: one message to PostgreSQL, one after the other to SQLite.

To answer for one row PostgreSQL needs less than a tenth of a millisecond, but parsing and planning a statement take
several times as long. A connection that runs one again and again, such as a triggerer's, therefore prepares it.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from itertools import chain, count
from typing import Any

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.frame import SEPARATOR, commit_with_next
from airflow_provider_partition_registry.store.sql.database.session import is_behind_pooler

PREPARE_AFTER = 5
"""How often a connection runs a statement before preparing it."""

PREPARED_IS_LOST = {"26000", "42P05"}
"""PostgreSQL's codes for a prepared statement that does not exist, or exists already: there is a pooler that was not
noticed. The call is repeated, without prepared statements."""

_PREPARES_NOTHING = "prepares nothing"  # in a connection's info


class Message:
    """Statements for a connection, run in the order in which they are added.

    Each sees what the ones before it did, and what they waited for.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._is_postgres = connection.dialect.name == "postgresql"
        self._preparations: list[str] = []
        self._frequent: list[str] = []
        self._statements: list[tuple[str, tuple[Any, ...]]] = []

    @property
    def dialect_name(self) -> str:
        """``postgresql`` or ``sqlite``."""
        return str(self.connection.dialect.name)

    def add(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        """Add a statement in the driver's notation."""
        self._statements.append((sql, parameters))

    def add_frequent(self, sql: str, parameters: tuple[Any, ...]) -> None:
        """Add one that is prepared on PostgreSQL after this connection has run it a few times."""
        self.add(self._prepared(sql, len(parameters)) if self._is_postgres else sql, parameters)

    def send(self, *, commits: bool = False) -> list[Any]:
        """Send the statements.

        :param commits: end the transaction in the same message.
        :return: the rows of the last statement, none if the message commits.
        """
        if self._is_postgres:
            return self._send_together(commits=commits)
        rows: list[Any] = []
        for sql, parameters in self._statements:
            rows = _rows(self.connection.exec_driver_sql(sql, parameters))
        return rows

    def _send_together(self, *, commits: bool) -> list[Any]:
        if commits:
            commit_with_next(self.connection)
        # Preparing comes first: if a statement fails, those after it do not run, and all must have been prepared.
        sql = SEPARATOR.join([*self._preparations, *(sql for sql, _ in self._statements)])
        parameters = tuple(chain.from_iterable(parameters for _, parameters in self._statements))
        try:
            rows = _rows(self.connection.exec_driver_sql(sql, parameters))
        except exc.DBAPIError as error:
            if getattr(error.orig, "pgcode", None) in PREPARED_IS_LOST:
                self.connection.info[_PREPARES_NOTHING] = True
            raise
        for each in self._frequent:
            self.connection.info[each] = self.connection.info.get(each, 0) + 1
        return rows

    def _prepared(self, sql: str, parameter_count: int) -> str:
        info = self.connection.info
        if _PREPARES_NOTHING in info or is_behind_pooler(info):
            return sql
        self._frequent.append(sql)
        runs = info.get(sql, 0)
        if runs < PREPARE_AFTER:
            return sql
        name = _name(sql)
        if runs == PREPARE_AFTER:
            numbers = count(1)
            numbered = re.sub("%s", lambda _mark: f"${next(numbers)}", sql)
            self._preparations.append(f"PREPARE {name} AS {numbered}")
        return f"EXECUTE {name} ({', '.join(['%s'] * parameter_count)})"


def _rows(result: Any) -> list[Any]:
    """The driver's own rows: SQLAlchemy's would take longer to make than all the rest."""
    rows = list(result.cursor.fetchall()) if result.returns_rows else []
    result.close()
    return rows


@lru_cache(maxsize=64)
def _name(sql: str) -> str:
    """A name made from the text, so that a prepared statement of this name on a connection is the same statement."""
    return f"partition_registry_{hashlib.sha256(sql.encode()).hexdigest()[:32]}"
