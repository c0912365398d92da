"""Migrations of PostgreSQL beside readers and writers, whom neither what takes long nor what waits holds up."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from alembic import command
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions, table_locks
from testbed.processes import wait_until
from testbed.versions import FORMER, PACKAGE
from tests.contract.test_migrations import AT, FILL, PREFIX, execute

pytestmark = pytest.mark.postgres

LARGE = [f"{PREFIX}_{name}" for name in ("partition", "event", "ready_interval")]
LANE = f"ix_{PREFIX}_partition_lane"
FIRST_THAT_TAKES_NEWER = "0007"


WRITES = [
    "SET LOCAL statement_timeout = '20s'",
    f"SELECT id FROM {PREFIX}_source FOR NO KEY UPDATE",
    f"UPDATE {PREFIX}_partition SET changed_at = {AT} + 1",
    f"UPDATE {PREFIX}_history SET last_position = last_position",
]
"""What a writer of any version does; it fails if it is held up."""


@pytest.fixture
def database(new_postgres_url: Callable[..., str]) -> Iterator[Database]:
    with closing(Database(new_postgres_url(template=None), pool_size=4, timeout=30)) as database:
        yield database


@pytest.fixture(params=FILL)
def older(database: Database, request: pytest.FixtureRequest) -> Database:
    """A registry that an older version created and filled."""
    return filled(database, request.param)


@pytest.fixture
def from_0002(database: Database) -> Database:
    """One that lacks an index which is built concurrently."""
    return filled(database, "0002")


def filled(database: Database, revision: str) -> Database:
    migrate(database, revision)
    execute(database, *FILL[revision])
    return database


def migrate(database: Database, to: str) -> None:
    database.write(lambda connection: command.upgrade(revisions.alembic_config(connection, database), to))


@contextmanager
def transaction(database: Database, *statements: str) -> Iterator[Connection]:
    """One that stays open."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        for each in statements:
            connection.exec_driver_sql(each)
        yield connection
        connection.exec_driver_sql("ROLLBACK")


@contextmanager
def upgrading_beside(database: Database, *statements: str) -> Iterator[tuple[int, Future[str]]]:
    """An upgrade that ends after a transaction has; yields that one's process as well."""
    with ThreadPoolExecutor(1) as pool, transaction(database, *statements) as other:
        process = other.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        yield process, pool.submit(revisions.upgrade, database)


@contextmanager
def upgrading_elsewhere(database: Database) -> Iterator[subprocess.Popen[bytes]]:
    """An upgrade in a process of its own."""
    command_line = [sys.executable, "-m", f"{PACKAGE}.cli", "db", "upgrade", "--url", url_of(database)]
    with subprocess.Popen(command_line) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(database: Database) -> str:
    return str(database.url.set(drivername="postgresql").render_as_string(hide_password=False))


def scalars(database: Database, statement: str) -> list[Any]:
    return database.read(lambda connection: list(connection.exec_driver_sql(statement).scalars()))


def tables_of(database: Database) -> list[str]:
    return scalars(
        database,
        f"SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, '{PREFIX}') ORDER BY relname",
    )


def test_nobody_queues_behind_an_upgrade_that_waits_for_a_long_transaction(
    older: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """As that of a pg_dump: whoever came after the upgrade would wait until it is done."""
    caplog.set_level(logging.WARNING, table_locks.__name__)
    read_all = [f"SELECT 1 FROM {each} LIMIT 1" for each in tables_of(older)]
    with upgrading_beside(older, *read_all) as (dump, upgrade):
        wait_until(lambda: caplog.messages, what="the upgrade to wait", timeout=60, interval=0.01)
        execute(older, *WRITES)
        assert not upgrade.done()
        assert f"process {dump} (partition-registry, idle in transaction)" in caplog.messages[0]
    assert upgrade.result() == revisions.HEAD
    assert verify(older) == []


def test_an_upgrade_waits_longer_than_its_time_out(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """In a transaction that is idle between two attempts."""
    filled(database, "0006")
    with (
        closing(Database(url_of(database), pool_size=1, timeout=3)) as impatient,
        ThreadPoolExecutor(1) as pool,
        transaction(database, f"SELECT 1 FROM {PREFIX}_history"),
    ):
        upgrade = pool.submit(revisions.upgrade, impatient)
        wait_until(lambda: "next attempt in 8 s" in caplog.text, what="a pause of 4 s to be over", timeout=60)
        assert not upgrade.done()
    assert upgrade.result() == revisions.HEAD


class TestEndedEarly:
    """What an upgrade that was killed leaves is taken up by the next one."""

    def test_while_an_index_was_built(self, from_0002: Database) -> None:
        # An index is not complete as long as anybody's snapshot is older.
        with transaction(from_0002, "SELECT 1"):
            with upgrading_elsewhere(from_0002):
                wait_until(
                    lambda: lane_is_valid(from_0002) is False, what="the index to be built", timeout=60
                )
                execute(from_0002, *WRITES)
            end_what_runs(from_0002, "CREATE INDEX CONCURRENTLY")
        assert lane_is_valid(from_0002) is False
        assert revisions.upgrade(from_0002) == revisions.HEAD
        assert lane_is_valid(from_0002)
        assert verify(from_0002) == []

    def test_while_constraints_were_validated(self, database: Database) -> None:
        filled(database, "0004")
        migrate(database, "head")
        with transaction(database, f"LOCK TABLE {PREFIX}_event IN SHARE UPDATE EXCLUSIVE MODE"):
            with upgrading_elsewhere(database):
                wait_until(
                    lambda: running(database, "ALTER TABLE"), what="the validation to wait", timeout=60
                )
                execute(database, *WRITES)
            end_what_runs(database, "ALTER TABLE")
        (found,) = verify(database)
        assert "not valid until partition-registry db upgrade" in found.description
        revisions.upgrade(database)
        assert verify(database) == []


def test_who_finds_an_index_being_built_waits_for_it(from_0002: Database) -> None:
    with upgrading_elsewhere(from_0002) as first:
        with upgrading_beside(from_0002, "SELECT 1") as (_, second):
            wait_until(lambda: lane_is_valid(from_0002) is False, what="the index to be built", timeout=60)
            being_built = lane(from_0002)
            wait_until(lambda: running(from_0002, "LOCK TABLE"), what="the other to wait", timeout=60)
            assert not second.done()
        assert second.result() == revisions.HEAD
        assert first.wait(60) == 0
    assert lane(from_0002) == being_built


def lane(database: Database) -> list[Any]:
    return scalars(database, f"SELECT oid FROM pg_class WHERE relname = '{LANE}'")


def lane_is_valid(database: Database) -> bool | None:
    found = scalars(database, f"SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{LANE}')")
    return found[0] if found else None


def running(database: Database, what: str) -> list[int]:
    """The processes of the server that are at such a statement."""
    return scalars(
        database,
        f"SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND starts_with(query, '{what}') "
        f"AND state = 'active' AND pid <> pg_backend_pid()",
    )


def end_what_runs(database: Database, what: str) -> None:
    """The server notices only later that nobody is there any more."""
    for process in running(database, what):
        scalars(database, f"SELECT pg_terminate_backend({process})")
    wait_until(lambda: not running(database, what), what=f"{what} to end", timeout=60)


@pytest.mark.parametrize("revision", revisions.REVISIONS[1:])
def test_a_migration_reads_and_writes_no_large_table_under_its_lock(
    database: Database, revision: str
) -> None:
    """What takes long is for ``afterwards.py``: no table is written anew, no index built, no constraint validated."""
    filled(database, revisions.REVISIONS[revisions.REVISIONS.index(revision) - 1])
    before = what_takes_long(database)
    migrate(database, revision)
    assert what_takes_long(database) == before


def what_takes_long(database: Database) -> list[Any]:
    """The files of large tables, their indexes, and their constraints that were validated."""
    names = ", ".join(f"'{name}'::regclass" for name in LARGE)
    return [
        sorted(scalars(database, statement))
        for statement in (
            f"SELECT relfilenode FROM pg_class WHERE oid IN ({names})",
            f"SELECT indexrelid FROM pg_index WHERE indrelid IN ({names})",
            f"SELECT conname FROM pg_constraint WHERE convalidated AND contype <> 'n' AND conrelid IN ({names})",
        )
    ]


def test_what_a_schema_says_about_who_may_use_it_is_true_and_tried() -> None:
    """See "For developers" in docs/how-to/upgrade.md. Versions before 0007 take no newer schema, whatever it says."""
    oldest_so_far = ""
    for number, since in (each.partition("_since_")[::2] for each in revisions.REVISIONS):
        oldest = since or number
        assert oldest_so_far <= oldest <= number, (
            f"{number} serves a version that one before it does not serve"
        )
        oldest_so_far = oldest
        if since:
            assert since >= FIRST_THAT_TAKES_NEWER
            assert since in FORMER, (
                f"name there the last commit of {since}, so that its rolling upgrade is tried"
            )
