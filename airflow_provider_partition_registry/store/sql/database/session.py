"""The settings that our statements run under on PostgreSQL.

A pooler such as PgBouncer may run every transaction on another of the server's sessions, which it shares with whoever
else uses the same account and database. Settings made for a session would then apply to the wrong statements, so they
travel with each of ours, and end with its transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.frame import SEPARATOR

_SETTINGS = "settings of each transaction"  # in the info of a connection behind a pooler


def set_up(connection: Any, info: dict[Any, Any], timeout: float) -> None:
    """Make the settings, or remember them if they have to be made for each transaction.

    :param connection: a new one of the driver, in autocommit.
    :param info: SQLAlchemy's of the same connection.
    :param timeout: in seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('synchronous_commit')")
        session, synchronous_commit = cursor.fetchone()
        settings = _settings(timeout, synchronous_commit).items()
        # A pooler says that the session is one of its own.
        if session == connection.info.backend_pid:
            cursor.execute(SEPARATOR.join(f"SET {name} = {value}" for name, value in settings))
        else:
            info[_SETTINGS] = SEPARATOR.join(f"SET LOCAL {name} = {value}" for name, value in settings)


def is_behind_pooler(info: dict[Any, Any]) -> bool:
    """Whether the server's session may be another one in the next transaction."""
    return _SETTINGS in info


def lift_time_limits(connection: Connection) -> None:
    """Let one statement take its time; the connection is of no use to others after it."""
    if connection.info.pop(_SETTINGS, None) is None:
        connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")


def send_settings_along(
    connection: Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
) -> tuple[str, Any]:
    """Listens to ``before_cursor_execute``, after what adds BEGIN."""
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE

    settings = connection.info.get(_SETTINGS)
    driver: Any = connection.connection.dbapi_connection
    if settings is None or driver.get_transaction_status() != TRANSACTION_STATUS_IDLE:
        return statement, parameters
    if not statement.startswith("BEGIN"):
        return f"{settings}{SEPARATOR}{statement}", parameters
    begin, *rest = statement.split(SEPARATOR, 1)
    return SEPARATOR.join([begin, settings, *rest]), parameters


def _settings(timeout: float, synchronous_commit: str) -> dict[str, str | int]:
    milliseconds = int(timeout * 1000)
    return {
        # What was acknowledged must survive a crash, even if the server is configured otherwise.
        **({"synchronous_commit": "on"} if synchronous_commit == "off" else {}),
        # A writer that hangs inside its transaction must not hold up others for longer than this.
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "jit": "off",
        # Joins are written in the order that leads from index to index. Trying all other orders takes the planner
        # several times longer than running the statement, and at times it picks one that reads whole tables.
        "join_collapse_limit": 1,
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "enable_material": "off",
        # A table that was small when a statement was planned may have grown since.
        "enable_seqscan": "off",
        # A prepared statement need not be planned again, whatever its parameters are.
        "plan_cache_mode": "force_generic_plan",
    }
