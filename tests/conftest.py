"""Shared fixtures and profiles. Fixtures import stores and servers when used, as tests/unit runs without SQLAlchemy."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from testbed.postgres import PostgresServer

_slow: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "print_blob": True,
}
settings.register_profile("everyday", max_examples=40, stateful_step_count=25, **_slow)
settings.register_profile("nightly", max_examples=5_000, stateful_step_count=60, **_slow)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "everyday"))

pytest.register_assert_rewrite("tests.contract", "tests.races", "tests.oracle")

# If a shell starts the tests in the background, they ignore some signals, and so would every process that they start.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

DEFAULT_KILLS = 4


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--publications",
        type=int,
        default=45,
        help="how many days tests/system/test_event_runs.py publishes",
    )
    parser.addoption(
        "--kills",
        type=int,
        default=DEFAULT_KILLS,
        help="how often tests/service/test_kills.py kills something, one kind of process after the other",
    )


TEMPLATE = "migrated"
_numbers = itertools.count(1)


def upgrade(url: str) -> str:
    """Bring a database's schema up to date, and return its URL."""
    from airflow_provider_partition_registry.store.sql.database.engine import Database
    from airflow_provider_partition_registry.store.sql.schema import revisions

    database = Database(url, pool_size=1, timeout=60)
    revisions.upgrade(database)
    database.close()
    return url


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """Eight Python processes that are up and running."""
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that do not damage it."""
    from testbed.postgres import PostgresServer

    with PostgresServer(durable=False) as server:
        upgrade(server.create_database(TEMPLATE))
        yield server


@pytest.fixture
def new_postgres_url(postgres: PostgresServer) -> Iterator[Callable[..., str]]:
    """Makes databases, empty or copied from a migrated one, that are dropped when the test ends."""
    made = []

    def make(template: str | None = TEMPLATE) -> str:
        made.append(f"test_{next(_numbers)}")
        return postgres.create_database(made[-1], template)

    yield make
    for name in made:
        postgres.drop_database(name)


@pytest.fixture
def postgres_url(new_postgres_url: Callable[..., str]) -> str:
    """A migrated database of this test's own."""
    return new_postgres_url()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'registry.db'}"


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that new SQLite registries are copied from."""
    file = tmp_path_factory.mktemp("template") / "registry.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def migrated_sqlite_url(sqlite_url: str, migrated_sqlite_file: Path) -> str:
    """An empty registry."""
    shutil.copy(migrated_sqlite_file, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


@pytest.fixture(
    params=["migrated_sqlite", pytest.param("postgres", marks=pytest.mark.postgres)],
    ids=["sqlite", "postgres"],
)
def database_url(request: pytest.FixtureRequest) -> str:
    """A new registry in each SQL database."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest) -> str:
    """A database without a registry."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    return request.getfixturevalue("new_postgres_url")(template=None)
