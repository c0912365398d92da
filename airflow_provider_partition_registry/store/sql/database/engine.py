"""Connections and transactions, and how their failures are handled.

All work is a function that takes a connection: ``database.read(work)`` for a single statement, which sees one moment,
``database.snapshot(work)`` for several statements that see the same moment, ``database.write(work)`` for a transaction.
So a lost connection can be replaced and the work repeated where that is safe, and driver errors become the registry's
own errors in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import create_engine, event, exc as sqlalchemy_errors
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

from airflow_provider_partition_registry.domain.errors import RegistryFileMissingError, StoreUnavailableError
from airflow_provider_partition_registry.store.resolving import remember_host
from airflow_provider_partition_registry.store.sql.database import session
from airflow_provider_partition_registry.store.sql.database.failures import (
    is_worth_repeating,
    reason_of,
    translate,
)
from airflow_provider_partition_registry.store.sql.database.forking import (
    connect_while_nobody_forks,
    fork_gate,
    remember,
)
from airflow_provider_partition_registry.store.sql.database.frame import Frame, send_frame_along
from airflow_provider_partition_registry.store.sql.database.time_limits import Watchdog
from airflow_provider_partition_registry.store.sql.database.url import normalise_url

T = TypeVar("T")

ATTEMPTS = 3
CONNECT_TIMEOUT = 5
SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Database:
    """One SQL database. Opens connections lazily, and anew in a process forked from this one.

    :param url: as :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param pool_size: how many connections are kept and used at most.
    :param writing_pool_size: how many connections writers get of their own (a bulkhead), so that no reader waits for a
        connection that a writer holds while it waits for other writers; None: readers and writers share one pool.
    :param timeout: seconds for a statement, for the wait for a lock, and for the wait for a free connection.
    :param is_standby: whether it is a standby of PostgreSQL's, from which nothing is believed that is not proven.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        timeout: float,
        writing_pool_size: int | None = None,
        is_standby: bool = False,
    ) -> None:
        self.url = normalise_url(url)
        self._pool_size = pool_size
        self._writing_pool_size = writing_pool_size
        self._timeout = timeout
        self._is_standby = is_standby
        self._engines: dict[str, Engine] = {}
        self._watchdog: Watchdog | None = None
        self._lock = Lock()
        self._turn = Lock()
        remember(self)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; otherwise it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """Where the SQLite database is; None if this is PostgreSQL."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    def require_file(self) -> None:
        """Check that the file of a SQLite database exists, as connecting would create an empty one.

        :raises RegistryFileMissingError: it does not exist.
        """
        if self.file is not None and not self.file.exists():
            raise RegistryFileMissingError(str(self.file))

    @property
    def name(self) -> str:
        """How messages name it: its location, without credentials."""
        if self.is_sqlite:
            return f"sqlite:///{self.url.database}"
        port = f":{self.url.port}" if self.url.port else ""
        return f"postgresql://{self.url.host or ''}{port}/{self.url.database or ''}"

    @property
    def engine(self) -> Engine:
        """The engine of this process. A forked child does not use its parent's, see below."""
        return self._opened("reading", self._pool_size)

    @property
    def _engine_for_writing(self) -> Engine:
        if self._writing_pool_size is None:
            return self.engine
        return self._opened("writing", self._writing_pool_size)

    def _opened(self, purpose: str, pool_size: int) -> Engine:
        with self._lock:
            if not self._engines:
                self._watchdog = None if self.is_sqlite else Watchdog(self._timeout, self.name)
            if purpose not in self._engines:
                self._engines[purpose] = self._create_engine(pool_size)
            return self._engines[purpose]

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, outside a transaction: each statement sees its own moment."""
        return self._attempt(lambda: self._run_reading(work))

    def write(self, work: Callable[[Connection], T], *, is_unlimited: bool = False) -> T:
        """Run ``work`` in one transaction. It may be run again if nothing of it was committed.

        :param is_unlimited: allow it to take longer than the time-out, for administrators' work.
        """
        return self._attempt(lambda: self._run_writing(work, is_unlimited))

    def rebuild(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which may replace whole tables, in one transaction without a time-out."""
        return self._attempt(lambda: self._run_writing(work, is_unlimited=True, replaces_tables=True))

    def run_alone(self, statement: str) -> None:
        """Run a statement that PostgreSQL runs outside transactions only, however long it takes."""
        self._attempt(lambda: self._run_alone(statement))

    def snapshot(self, work: Callable[[Connection], T], *, is_unlimited: bool = False) -> T:
        """Run ``work``, which only reads, as of one moment; no writer has to wait for it.

        :param is_unlimited: allow it to take longer than the time-out, for administrators' work.
        """
        return self._attempt(lambda: self._run_in_snapshot(work, is_unlimited))

    def time_limit(self, connection: Any) -> AbstractContextManager[None]:
        """End what runs inside after the time-out, even if the server hangs.

        :param connection: that of the driver.
        :raises StoreUnavailableError: it took longer.
        """
        return nullcontext() if self._watchdog is None else self._watchdog.limit(connection)

    def forget(self) -> None:
        """In a forked child: leave all connections to the parent, and start anew."""
        self._lock = Lock()
        self._turn = Lock()
        self._engines = {}

    def close(self) -> None:
        """Close all connections of this process; they are opened again when needed."""
        with self._lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines = {}

    def _run_reading(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection, self.time_limit(connection.connection.dbapi_connection):
            return work(connection)

    def _run_alone(self, statement: str) -> None:
        with self._engine_for_writing.connect() as connection:
            session.lift_time_limits(connection)
            try:
                connection.exec_driver_sql(statement)
            finally:
                connection.invalidate()

    def _run_in_snapshot(self, work: Callable[[Connection], T], is_unlimited: bool) -> T:
        with (
            self.engine.connect() as connection,
            nullcontext() if is_unlimited else self.time_limit(connection.connection.dbapi_connection),
        ):
            frame = None if self.is_sqlite else Frame(connection, SNAPSHOT)
            if frame is None:
                connection.exec_driver_sql("BEGIN")
            try:
                with self._without_time_limit(connection) if is_unlimited else nullcontext():
                    return work(connection)
            finally:
                if frame is None or frame.end():
                    _roll_back(connection)

    @contextmanager
    def _without_time_limit(self, connection: Connection) -> Iterator[None]:
        """Let statements take their time, and allow plans that read whole tables."""
        if not self.is_sqlite:
            connection.exec_driver_sql(
                "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
                "SET LOCAL enable_seqscan = on; "
                "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_material = on"
            )
            yield
            return
        connection.exec_driver_sql("PRAGMA automatic_index = ON")
        try:
            yield
        finally:
            connection.exec_driver_sql("PRAGMA automatic_index = OFF")

    def _run_writing(
        self, work: Callable[[Connection], T], is_unlimited: bool, *, replaces_tables: bool = False
    ) -> T:
        with (
            self._one_writer_at_a_time() if self.is_sqlite else nullcontext(),
            self._engine_for_writing.connect() as connection,
            nullcontext() if is_unlimited else self.time_limit(connection.connection.dbapi_connection),
            _tables_apart(connection) if self.is_sqlite and replaces_tables else nullcontext(),
        ):
            return (self._transact_in_sqlite if self.is_sqlite else self._transact_in_postgres)(
                connection, work
            )

    def _transact_in_sqlite(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        # Take the write lock at once; a transaction that reads first and writes later could fail half-way.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            _roll_back(connection)
            raise
        self._commit(connection)
        return result

    def _transact_in_postgres(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        # After waiting for a lock, a statement sees what the lock's last holder committed.
        frame = Frame(connection, "ISOLATION LEVEL READ COMMITTED")
        try:
            result = work(connection)
        except BaseException as error:
            if frame.end():
                _roll_back(connection)
            if frame.is_committing and getattr(error, "connection_invalidated", False):
                raise self._unknown_outcome(error) from error
            raise
        if frame.end() and not frame.is_committing:
            self._commit(connection)
        return result

    def _commit(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("COMMIT")
        except sqlalchemy_errors.DBAPIError as error:
            _roll_back(connection)
            raise self._unknown_outcome(error) from error

    def _unknown_outcome(self, error: BaseException) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"The connection to {self.name} failed while the change was being committed; it may or may not have taken "
            f"effect. Check whether it has, or repeat the call: {reason_of(error)}"
        )

    @contextmanager
    def _one_writer_at_a_time(self) -> Iterator[None]:
        """Let the threads of this process write one after the other.

        Waiting for the file, SQLite polls more and more rarely, and some threads would give up.
        """
        if not self._turn.acquire(timeout=self._timeout):
            raise StoreUnavailableError(
                f"Others have been writing to {self.name} for {self._timeout:g} s without a pause. Try again."
            )
        try:
            yield
        finally:
            self._turn.release()

    def _attempt(self, run: Callable[[], T]) -> T:
        with fork_gate.passing() if self.is_sqlite else nullcontext():
            return self._repeat_if_safe(run)

    def _repeat_if_safe(self, run: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run()
            except sqlalchemy_errors.DBAPIError as error:
                if attempt == ATTEMPTS or not is_worth_repeating(error):
                    raise translate(error, self.name) from error
            except sqlalchemy_errors.TimeoutError as error:
                raise StoreUnavailableError(
                    f"All connections to {self.name} that are meant for this were busy for {self._timeout:g} s. "
                    f"Try again, or allow more."
                ) from error
        raise AssertionError("unreachable")  # pragma: no cover

    def _create_engine(self, pool_size: int) -> Engine:
        engine = create_engine(
            self.url,
            future=True,
            # Transactions begin and end in _run_writing and _run_in_snapshot. Changing the driver's own mode for every
            # reading call would cost a round trip.
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=self._timeout,
            connect_args=self._sqlite_arguments() if self.is_sqlite else self._postgres_arguments(),
            # Not needed here, and it costs a query on every new connection that no time-out would end.
            **({} if self.is_sqlite else {"use_native_hstore": False}),
        )
        # Before SQLAlchemy's own first queries, so that the time-outs apply to them as well.
        set_up = self._set_up_sqlite if self.is_sqlite else self._set_up_postgres
        event.listen(engine, "connect", set_up, insert=True)
        if not self.is_sqlite:
            event.listen(engine, "before_cursor_execute", send_frame_along, retval=True)
            event.listen(engine, "before_cursor_execute", session.send_settings_along, retval=True)
            # SQLite's calls have passed the gate already.
            event.listen(engine, "do_connect", connect_while_nobody_forks)
        return engine

    def _sqlite_arguments(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "check_same_thread": False}

    def _postgres_arguments(self) -> dict[str, Any]:
        defaults = {
            "application_name": "partition-registry",
            "connect_timeout": max(1, min(CONNECT_TIMEOUT, round(self._timeout))),
            "client_encoding": "utf8",
            # A standby lags behind: unless it proves what it has, it would call ready what is locked on the primary.
            "target_session_attrs": "standby" if self._is_standby else "read-write",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": int(self._timeout * 1000),
        }
        return {key: value for key, value in defaults.items() if key not in self.url.query}

    def _set_up_postgres(self, connection: Any, record: Any) -> None:
        for host in (self.url.host or "").split(","):
            remember_host(host)
        connection.autocommit = True  # settings made inside a transaction would end with it
        with self.time_limit(connection):
            session.set_up(connection, record.info, self._timeout)

    def _set_up_sqlite(self, connection: Any, _record: Any) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # What was acknowledged survives a power cut, also in WAL mode.
            "foreign_keys = ON",
            # Our indexes suffice. On an analysed file SQLite at times preferred to build one of its own for a question.
            "automatic_index = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _tables_apart(connection: Connection) -> Iterator[None]:
    """Let SQLite replace a table without changing what refers to it: rows of other tables, and people's views.

    SQLite would treat the dropped table's rows as deleted. This cannot be switched off inside a transaction.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def _roll_back(connection: Connection) -> None:
    """Roll the transaction back; if that fails, the connection is not used again."""
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sqlalchemy_errors.SQLAlchemyError:
        connection.invalidate()
