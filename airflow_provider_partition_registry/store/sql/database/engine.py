"""Connections and transactions, and what may go wrong with them.

Everything runs as a function of a connection: ``database.read(work)`` for a statement, which sees one moment,
``database.snapshot(work)`` for several that see the same one, ``database.write(work)`` for a transaction. That lets a
lost connection be replaced and the work be done again where this is safe, and gives driver errors one place in which
they become the registry's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import create_engine, event, exc as sqlalchemy_errors
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.pool import QueuePool

from airflow_provider_partition_registry.domain.errors import RegistryFileMissingError, StoreUnavailableError
from airflow_provider_partition_registry.store.fork_gate import ForkGate
from airflow_provider_partition_registry.store.resolving import remember_host
from airflow_provider_partition_registry.store.sql.database.failures import (
    is_worth_repeating,
    reason_of,
    translate,
)
from airflow_provider_partition_registry.store.sql.database.time_limits import Watchdog
from airflow_provider_partition_registry.store.sql.database.url import normalise_url

T = TypeVar("T")

ATTEMPTS = 3
CONNECT_TIMEOUT = 5

_databases: WeakSet[Database] = WeakSet()
_fork_gate = ForkGate()


class Database:
    """One SQL database. Opens connections lazily, and anew in a process forked from this one.

    :param url: as :func:`~airflow_provider_partition_registry.store.factory.open_store` takes it.
    :param pool_size: how many connections are kept and lent at most.
    :param writing_pool_size: so many of their own for those who write, so that nobody who reads has to wait for a
        connection that a writer holds while it waits for others; None: readers and writers share theirs.
    :param timeout: seconds for a statement, and for the wait for a lock or a free connection.
    """

    def __init__(
        self, url: str, *, pool_size: int, timeout: float, writing_pool_size: int | None = None
    ) -> None:
        self.url = normalise_url(url)
        self._pool_size = pool_size
        self._writing_pool_size = writing_pool_size
        self._timeout = timeout
        self._engines: dict[str, Engine] = {}
        self._watchdog: Watchdog | None = None
        self._lock = Lock()
        self._turn = Lock()
        _databases.add(self)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; else it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """Where the SQLite database is; None if this is PostgreSQL."""
        return Path(str(self.url.database)) if self.is_sqlite else None

    def require_file(self) -> None:
        """Make sure that the file of a SQLite database is there: connecting would create an empty one.

        :raises RegistryFileMissingError: it is not.
        """
        if self.file is not None and not self.file.exists():
            raise RegistryFileMissingError(str(self.file))

    @property
    def name(self) -> str:
        """What to call it in a message: where it is, without credentials."""
        if self.is_sqlite:
            return f"sqlite:///{self.url.database}"
        port = f":{self.url.port}" if self.url.port else ""
        return f"postgresql://{self.url.host or ''}{port}/{self.url.database or ''}"

    @property
    def engine(self) -> Engine:
        """The engine of this process. None is inherited through a fork, see below."""
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
        """Run ``work``, which only reads, outside a transaction: each statement sees a moment of its own."""
        return self._attempt(lambda: self._run_reading(work))

    def write(self, work: Callable[[Connection], T], *, is_unlimited: bool = False) -> T:
        """Run ``work`` in one transaction. It may be run again when nothing of it was committed.

        :param is_unlimited: let it take longer than the time-out, for an administrator's work.
        """
        return self._attempt(lambda: self._run_writing(work, is_unlimited))

    def rebuild(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which may replace whole tables, in one transaction that takes the time it needs."""
        return self._attempt(lambda: self._run_writing(work, is_unlimited=True, replaces_tables=True))

    def snapshot(self, work: Callable[[Connection], T], *, is_unlimited: bool = False) -> T:
        """Run ``work``, which only reads, as of one moment; no writer waits for it.

        :param is_unlimited: let it take longer than the time-out, for an administrator's work.
        """
        return self._attempt(lambda: self._run_in_snapshot(work, is_unlimited))

    def time_limit(self, connection: Any) -> AbstractContextManager[None]:
        """Give up what runs inside after the time-out, also when the server hangs.

        :param connection: the driver's.
        :raises StoreUnavailableError: it took longer.
        """
        return nullcontext() if self._watchdog is None else self._watchdog.limit(connection)

    def forget(self) -> None:
        """In a forked child: leave everything to the parent and start anew."""
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

    def _run_in_snapshot(self, work: Callable[[Connection], T], is_unlimited: bool) -> T:
        with (
            self.engine.connect() as connection,
            nullcontext() if is_unlimited else self.time_limit(connection.connection.dbapi_connection),
        ):
            connection.exec_driver_sql(
                "BEGIN" if self.is_sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            )
            try:
                with self._without_time_limit(connection) if is_unlimited else nullcontext():
                    return work(connection)
            finally:
                _roll_back(connection)

    @contextmanager
    def _without_time_limit(self, connection: Connection) -> Iterator[None]:
        """Let statements take their time, and find their way through whole tables."""
        if not self.is_sqlite:
            connection.exec_driver_sql(
                "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
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
            self._turn_to_write() if self.is_sqlite else nullcontext(),
            self._engine_for_writing.connect() as connection,
            nullcontext() if is_unlimited else self.time_limit(connection.connection.dbapi_connection),
            _tables_apart(connection) if self.is_sqlite and replaces_tables else nullcontext(),
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
                    f"have taken effect. Look whether it has, or repeat the call: {reason_of(error)}"
                ) from error
            return result

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """Let one thread of this process after the other write.

        At the file they would look now and then, the more seldom the longer they wait, and some would give up.
        """
        if not self._turn.acquire(timeout=self._timeout):
            raise StoreUnavailableError(
                f"Others wrote to {self.name} for {self._timeout:g} s without a pause. Try again."
            )
        try:
            yield
        finally:
            self._turn.release()

    def _attempt(self, run: Callable[[], T]) -> T:
        with _fork_gate.passing() if self.is_sqlite else nullcontext():
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

    @property
    def _begin(self) -> str:
        # SQLite: the write lock at once, since a transaction that reads first and writes later could fail half-way.
        # PostgreSQL: what a statement sees after it waited for a lock is what the lock's last holder committed.
        return "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN ISOLATION LEVEL READ COMMITTED"

    def _create_engine(self, pool_size: int) -> Engine:
        engine = create_engine(
            self.url,
            future=True,
            # Transactions begin and end where _run_writing says. Switching the driver's own mode for every reading
            # call would cost a round trip.
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=self._timeout,
            connect_args=self._sqlite_arguments() if self.is_sqlite else self._postgres_arguments(),
            # Of no use here, and a query on every new connection that nothing would time out.
            **({} if self.is_sqlite else {"use_native_hstore": False}),
        )
        # Before SQLAlchemy's own first queries: the time-outs are for those as well.
        set_up = self._set_up_sqlite if self.is_sqlite else self._set_up_postgres
        event.listen(engine, "connect", set_up, insert=True)
        if not self.is_sqlite:  # whose calls have passed the gate already
            event.listen(engine, "do_connect", _connect_while_nobody_forks)
        return engine

    def _sqlite_arguments(self) -> dict[str, Any]:
        return {"timeout": self._timeout, "check_same_thread": False}

    def _postgres_arguments(self) -> dict[str, Any]:
        defaults = {
            "application_name": "partition-registry",
            "connect_timeout": max(1, min(CONNECT_TIMEOUT, round(self._timeout))),
            "client_encoding": "utf8",
            # A standby lags behind: it would call ready what is locked on the primary.
            "target_session_attrs": "read-write",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": int(self._timeout * 1000),
        }
        return {key: value for key, value in defaults.items() if key not in self.url.query}

    def _set_up_postgres(self, connection: Any, _record: Any) -> None:
        for host in (self.url.host or "").split(","):
            remember_host(host)
        milliseconds = int(self._timeout * 1000)
        connection.autocommit = True  # what is set inside a transaction would be gone with it
        with self.time_limit(connection), connection.cursor() as cursor:
            cursor.execute(
                # What was acknowledged survives a crash, also where the server is told not to care.
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'; "
                # A writer that hangs inside its transaction must not hold up everybody else for longer than this.
                f"SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; "
                f"SET idle_in_transaction_session_timeout = {milliseconds}; SET jit = off; "
                # Joins are written in the order that goes from index to index. Trying all others takes the planner
                # several times longer than running the statement, and now and then it picks one that reads
                # everything.
                "SET join_collapse_limit = 1; "
                "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; "
                # A statement is prepared so that it need not be planned again, whatever the parameters.
                "SET plan_cache_mode = force_generic_plan"
            )

    def _set_up_sqlite(self, connection: Any, _record: Any) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # What was acknowledged survives a power cut, also in WAL mode.
            "foreign_keys = ON",
            # Our indexes fit. Where the file was analysed, SQLite at times rather made one of its own for a question.
            "automatic_index = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")


def _connect_while_nobody_forks(
    dialect: Dialect, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    with _fork_gate.passing():
        return dialect.connect(*arguments, **options)


@contextmanager
def _tables_apart(connection: Connection) -> Iterator[None]:
    """Let SQLite replace a table without touching what refers to it: other tables' rows, and people's views.

    It would take the table that is dropped for one whose rows are deleted. Inside a transaction that cannot be set.
    """
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def _roll_back(connection: Connection) -> None:
    """Undo the transaction; a connection on which that fails is not used again."""
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sqlalchemy_errors.SQLAlchemyError:
        connection.invalidate()


def _let_go() -> None:
    """Before a fork: close all connections that nobody uses; of SQLite those are all, once its calls have ended.

    A connection to PostgreSQL cannot be shared, and one to SQLite must not even be inherited.
    """
    _fork_gate.shut()
    for database in tuple(_databases):
        database.close()


def _start_anew() -> None:
    _fork_gate.renew()
    for database in tuple(_databases):
        database.forget()


os.register_at_fork(before=_let_go, after_in_parent=_fork_gate.open, after_in_child=_start_anew)
