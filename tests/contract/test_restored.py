"""A restored backup gives the history a new identity (R9), whatever runs meanwhile."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from airflow_provider_partition_registry.domain.errors import LostPositionError
from airflow_provider_partition_registry.store.sql.maintenance.backup import back_up
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.postgres import PostgresServer, find_programs
from testbed.processes import wait_until
from testbed.standby import copy_of, has_replayed, serving
from tests.conftest import upgrade
from tests.contract.homes import all_events, hours

DUMP = "--format=custom", "--table=partition_registry_*"
RESTORE = "--clean", "--if-exists", "--single-transaction"


def run(program: str, *arguments: str | Path) -> None:
    subprocess.run([find_programs() / program, *arguments], check=True)


def register(store: SqlRegistryStore, *names: str) -> int:
    """Register sources, and return the last position."""
    for name in names:
        store.register_source(name, "ann")
    return store.last_position()


def write_at_once(stores: Sequence[SqlRegistryStore]) -> None:
    """Let each register a source, all at the same time; every one succeeds."""
    barrier = Barrier(len(stores))

    def write(number: int, store: SqlRegistryStore) -> int:
        barrier.wait()
        return register(store, f"new{number}")

    with ThreadPoolExecutor(len(stores)) as pool:
        assert len(list(pool.map(write, *zip(*enumerate(stores), strict=True)))) == len(stores)
    assert verify(stores[0].database) == []
    for store in stores:
        store.close()


def assert_refused(store: SqlRegistryStore, *cursors: int) -> None:
    for cursor in cursors:
        with pytest.raises(LostPositionError, match="restored from a backup"):
            store.events(cursor)


@pytest.mark.postgres
def test_a_process_that_runs_on_notices_it(postgres_url: str, tmp_path: Path) -> None:
    dump = tmp_path / "registry.dump"
    with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
        kept = register(store, "a")
        run("pg_dump", *DUMP, f"--file={dump}", f"--dbname={postgres_url}")
        lost = register(store, "b", "c")
        run("pg_restore", *RESTORE, f"--dbname={postgres_url}", dump)
        register(store, "d", "e", "f")
        assert_refused(store, kept + 1, lost)
        assert [each.source_name for each in store.events(kept).items] == ["d", "e", "f"]
        assert verify(store.database) == []


@pytest.mark.postgres
def test_the_same_backup_may_be_restored_twice(postgres_url: str, tmp_path: Path) -> None:
    """Positions of its first life are none of its second."""
    dump = tmp_path / "registry.dump"
    with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
        register(store, "a")
        run("pg_dump", *DUMP, f"--file={dump}", f"--dbname={postgres_url}")
        cursors = []
        for life in ("b", "c"):
            cursors.append(register(store, life))
            run("pg_restore", *RESTORE, f"--dbname={postgres_url}", dump)
        register(store, *"defghi")
        assert_refused(store, *cursors)


@pytest.mark.postgres
def test_a_copy_of_the_database_goes_on_by_itself(
    postgres: PostgresServer, new_postgres_url: Callable[..., str]
) -> None:
    url = new_postgres_url()
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        kept = register(store, "a")
    with open_sql_store(new_postgres_url(url.rpartition("/")[2]), pool_size=1, timeout=30) as copy:
        assert register(copy, "b") > kept + 1
        assert [each.source_name for each in copy.events(kept).items] == ["b"]
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        assert register(store, "c") == kept + 1, "nothing has happened to the original"


@pytest.mark.postgres
def test_of_many_who_notice_it_one_gives_the_identity(postgres_url: str, tmp_path: Path) -> None:
    dump = tmp_path / "registry.dump"
    with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
        register(store, "a")
        run("pg_dump", *DUMP, f"--file={dump}", f"--dbname={postgres_url}")
        run("pg_restore", *RESTORE, f"--dbname={postgres_url}", dump)
    stores = [open_sql_store(postgres_url, pool_size=1, timeout=30) for _ in range(8)]
    write_at_once(stores)
    with open_sql_store(postgres_url, pool_size=1, timeout=30) as store:
        first, *others = [each.position for each in all_events(store)[1:]]
        assert max(others) - first < 100, "they follow each other"
        assert verify(store.database) == []


def test_a_backup_of_sqlite_that_replaces_the_content_of_the_file(tmp_path: Path) -> None:
    """The inode stays, but the backup says what it is."""
    file, backup = tmp_path / "registry.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        kept = register(store, "a")
        back_up(store.database, backup)
        lost = register(store, "b")
    shutil.copyfile(backup, file)
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        register(store, "c", "d", "e")
        assert_refused(store, kept + 1, lost)
        assert verify(store.database) == []
    for number in range(3):  # it is noticed once
        with open_sql_store(url, pool_size=1, timeout=30) as store:
            assert register(store, f"f{number}") == store.last_position()
            positions = [each.position for each in all_events(store)]
    assert positions[-1] - positions[1] == len(positions) - 2


@pytest.mark.postgres
def test_a_standby_that_takes_over_without_the_newest_events() -> None:
    """A process that runs on, and finds it at the same address, notices that the server's timeline is another one."""
    with PostgresServer(durable=False) as primary:
        upgrade(primary.url())
        with open_sql_store(primary.url(), pool_size=1, timeout=30) as store:
            kept = register(store, "a")
            folder = copy_of(primary)
            with serving(folder) as standby:
                wait_until(lambda: has_replayed(standby, primary), what="the standby", timeout=60)
            lost = register(store, "b", "c")
            primary.kill()
            with serving(folder, primary.port) as standby:
                standby.execute("SELECT pg_promote()")
                register(store, "d", "e", "f")
                assert_refused(store, kept + 1, lost)
                assert [each.source_name for each in store.events(kept).items] == ["d", "e", "f"]
                assert verify(store.database) == []


@pytest.mark.postgres
def test_of_many_who_run_on_nobody_is_refused(postgres_url: str, tmp_path: Path) -> None:
    """Each has written before, and finds the history elsewhere in the midst of a write."""
    dump = tmp_path / "registry.dump"
    stores = [open_sql_store(postgres_url, pool_size=1, timeout=30) for _ in range(8)]
    for number, store in enumerate(stores):
        for repeat in range(7):  # so that statements are prepared
            register(store, f"kept{number}-{repeat}")
    run("pg_dump", *DUMP, f"--file={dump}", f"--dbname={postgres_url}")
    run("pg_restore", *RESTORE, f"--dbname={postgres_url}", dump)
    write_at_once(stores)


@pytest.mark.parametrize("url", ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)])
def test_where_it_goes_on_can_be_followed_at_once(request: pytest.FixtureRequest, url: str) -> None:
    """Also if nothing has been written since, and if it is told more than once."""
    with open_sql_store(request.getfixturevalue(url), pool_size=1, timeout=30) as store:
        kept = register(store, "a")
        for _ in range(3):
            store.notice_restoration(is_told=True)
        end = store.last_position()
        assert store.events(end).items == store.events(kept).items == ()
        assert_refused(store, kept + 1, end - 1)
        first = register(store, "b")
        assert [each.position for each in store.events(end).items] == [first]
        assert verify(store.database) == []


def test_a_reader_of_what_was_lost_is_told_so_before_anybody_writes(tmp_path: Path) -> None:
    file, backup = tmp_path / "registry.db", tmp_path / "backup.db"
    url = f"sqlite:///{file}"
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        register(store, "a")
        back_up(store.database, backup)
        lost = register(store, "b")
    shutil.copyfile(backup, file)
    with open_sql_store(url, pool_size=1, timeout=30) as store:
        assert store.changed_since("a", hours(0, 1), lost)


def test_another_working_directory_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite remembers which file it has opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with open_sql_store("sqlite:///registry.db", pool_size=1, timeout=30) as store:
        kept = register(store, "a")
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert register(store, "b") == kept + 1
