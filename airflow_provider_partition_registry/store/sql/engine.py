"""Connections and transactions, and what may go wrong with them.

Everything runs as a function of a connection: ``database.read(work)`` for one statement that sees one snapshot,
``database.write(work)`` for a transaction. That lets a lost connection be replaced and the work be done again
where this is safe, and gives driver errors one place in which they become the registry's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy import exc as sqlalchemy_errors
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import QueuePool

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    RegistryError,
    SchemaMissingError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.store.sql.values import PREPARED_IS_LOST
from airflow_provider_partition_registry.store.sql.watchdog import Watchdog

T = TypeVar("T")

ATTEMPTS = 3
CONNECT_TIMEOUT = 5
# PostgreSQL: serialization failure, deadlock. The transaction is undone; doing it again is what they ask for.
RETRYABLE_SQLSTATES = {"40001", "40P01"} | PREPARED_IS_LOST
UNDEFINED_TABLE = "42P01"


class Database:
    """One SQL database. Opens connections lazily, and anew in a process forked from this one.

    :param url: as :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param pool_size: how many connections are kept and lent at most.
    :param timeout: seconds for a statement, and for the wait for a lock or a free connection.
    """

    def __init__(self, url: str, *, pool_size: int, timeout: float) -> None:
        self.url = normalise_url(url)
        self._pool_size = pool_size
        self._timeout = timeout
        self._engine: Engine | None = None
        self._engine_process: int | None = None
        self._watchdog: Watchdog | None = None
        self._guard = Lock()

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; else it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def name(self) -> str:
        """What to call it in a message: where it is, without credentials."""
        if self.is_sqlite:
            return f"sqlite:///{self.url.database}"
        port = f":{self.url.port}" if self.url.port else ""
        return f"postgresql://{self.url.host or ''}{port}/{self.url.database or ''}"

    @property
    def engine(self) -> Engine:
        """The engine of this process. A connection inherited through a fork is never touched."""
        with self._guard:
            if self._engine is None or self._engine_process != os.getpid():
                self._engine = self._create_engine()
                self._watchdog = None if self.is_sqlite else Watchdog(self._timeout, self.name)
                self._engine_process = os.getpid()
            return self._engine

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which must send one statement only, outside a transaction."""
        return self._attempt(lambda: self._run_reading(work))

    def write(self, work: Callable[[Connection], T], *, is_patient: bool = False) -> T:
        """Run ``work`` in one transaction. It may be run again when nothing of it was committed.

        :param is_patient: let it take longer than the time-out, for an administrator's work.
        """
        return self._attempt(lambda: self._run_writing(work, is_patient))

    def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, on one snapshot, for as long as it takes; no writer waits for it."""
        return self._attempt(lambda: self._run_in_snapshot(work))

    def watch(self, connection: Any) -> AbstractContextManager[None]:
        """Give up what runs inside after the time-out, also when the server hangs.

        :param connection: the driver's.
        :raises StoreUnavailableError: it took longer.
        """
        return nullcontext() if self._watchdog is None else self._watchdog.watch(connection)

    def close(self) -> None:
        """Close all connections of this process; they are opened again when needed."""
        with self._guard:
            if self._engine is not None and self._engine_process == os.getpid():
                self._engine.dispose()
            self._engine = None

    def _run_reading(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection, self.watch(connection.connection.dbapi_connection):
            return work(connection)

    def _run_in_snapshot(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            connection.exec_driver_sql(
                "BEGIN"
                if self.is_sqlite
                else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = 0; "
                "SET LOCAL idle_in_transaction_session_timeout = 0; "
                "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_material = on"
            )
            try:
                return work(connection)
            finally:
                _roll_back(connection)

    def _run_writing(self, work: Callable[[Connection], T], is_patient: bool) -> T:
        with (
            self.engine.connect() as connection,
            nullcontext() if is_patient else self.watch(connection.connection.dbapi_connection),
        ):
            connection.exec_driver_sql(self._begin)
            try:
                result = work(connection)
            except BaseException:
                _roll_back(connection)
                raise
            try:
                connection.exec_driver_sql("COMMIT")
            except sqlalchemy_errors.DBAPIError as error:
                _roll_back(connection)
                raise StoreUnavailableError(
                    f"The connection to {self.name} failed while the change was being committed; it may or may not "
                    f"have taken effect. Repeat the call: {_reason(error)}"
                ) from error
            return result

    def _attempt(self, run: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run()
            except sqlalchemy_errors.DBAPIError as error:
                if attempt == ATTEMPTS or not _is_worth_repeating(error):
                    raise self._translate(error) from error
            except sqlalchemy_errors.TimeoutError as error:
                raise StoreUnavailableError(
                    f"All {self._pool_size} connections to {self.name} were busy for {self._timeout:g} s. "
                    f"Try again, or allow more."
                ) from error
        raise AssertionError("unreachable")  # pragma: no cover

    def _translate(self, error: sqlalchemy_errors.DBAPIError) -> RegistryError:
        if getattr(error.orig, "pgcode", None) == UNDEFINED_TABLE or "no such table" in str(error.orig):
            return SchemaMissingError(self.name)
        return StoreUnavailableError(f"The registry in {self.name} does not answer: {_reason(error)}")

    @property
    def _begin(self) -> str:
        # SQLite: the write lock at once, since a transaction that reads first and writes later could fail half-way.
        # PostgreSQL: what a statement sees after it waited for a lock is what the lock's last holder committed.
        return "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def _create_engine(self) -> Engine:
        engine = create_engine(
            self.url,
            future=True,
            # Transactions begin and end where _run_writing says. Switching the driver's own mode for every reading
            # call would cost a round trip.
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            pool_size=self._pool_size,
            max_overflow=0,
            pool_timeout=self._timeout,
            connect_args=self._sqlite_arguments() if self.is_sqlite else self._postgres_arguments(),
        )
        if self.is_sqlite:
            event.listen(engine, "connect", self._set_up_sqlite)
        else:
            event.listen(engine, "connect", self._set_up_postgres)
        return engine

    def _sqlite_arguments(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "check_same_thread": False}

    def _postgres_arguments(self) -> dict[str, Any]:
        defaults = {
            "application_name": "partition-registry",
            "connect_timeout": CONNECT_TIMEOUT,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": int(self._timeout * 1000),
        }
        return {key: value for key, value in defaults.items() if key not in self.url.query}

    def _set_up_postgres(self, connection: Any, _record: Any) -> None:
        milliseconds = int(self._timeout * 1000)
        with connection.cursor() as cursor:
            # A writer that hangs inside its transaction must not hold up everybody else for longer than this.
            cursor.execute(
                f"SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; "
                f"SET idle_in_transaction_session_timeout = {milliseconds}; SET jit = off; "
                # Joins are written in the order that goes from index to index. Trying all others takes the planner
                # several times longer than running the statement, and now and then it picks one that reads
                # everything.
                "SET join_collapse_limit = 1; "
                "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off"
            )

    def _set_up_sqlite(self, connection: Any, _record: Any) -> None:
        # FULL: what was acknowledged survives a power cut, also in WAL mode.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")


def normalise_url(url: str) -> URL:
    """Parse a database URL and name the driver, which SQLAlchemy's versions choose differently.

    :raises InvalidInputError: it cannot be parsed, or names a SQLite database without a file.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except (sqlalchemy_errors.ArgumentError, ValueError):
        raise InvalidInputError(
            "The registry's database URL cannot be parsed; it looks like postgresql://user:password@host:5432/name."
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError(
            "A SQLite registry needs a file: sqlite:///registry.db, or sqlite:////absolute/path/registry.db."
        )
    folder = Path(parsed.database).expanduser().resolve().parent
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder} for the SQLite registry; create it first.")
    return parsed.set(drivername="sqlite+pysqlite")


def _roll_back(connection: Connection) -> None:
    """Undo the transaction; a connection on which that fails is not used again."""
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sqlalchemy_errors.SQLAlchemyError:
        connection.invalidate()


def _is_worth_repeating(error: sqlalchemy_errors.DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "pgcode", None) in RETRYABLE_SQLSTATES


def _reason(error: sqlalchemy_errors.DBAPIError) -> str:
    return " ".join(str(error.orig).split()) or type(error.orig).__name__
