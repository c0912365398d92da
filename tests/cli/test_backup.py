"""``db backup``: a copy as of one moment, while the registry is in use, which never overwrites another file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.conftest import Command, day
from tests.cli.verification.test_beside_writers import writers
from tests.contract.homes import all_events

WRITER = """
import sys
from tests.contract.homes import hours
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
with open_store(sys.argv[1], timeout=60) as store:
    for hour in range(1_000_000):
        key = PartitionKey("sales", "nightly", hours(hour, hour + 1))
        store.lock(key, register=True)
        store.unlock(key)
        print(store.last_position(), flush=True)
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """The file of the registry that ``nightly`` and ``store`` use."""
    return tmp_path / "registry.db"


@pytest.fixture
def store(nightly: Command, migrated_sqlite_url: str) -> Iterator[SqlRegistryStore]:
    """The same registry, held open, as SQLite writes its log back when the last connection closes."""
    with closing(Database(migrated_sqlite_url, pool_size=2, timeout=60)) as database:
        opened = SqlRegistryStore(database)
        opened.ping()
        yield opened


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "registry.db"


def history_of(file: Path) -> list[Event]:
    """The history of a copy, after checking that the copy is sound."""
    with closing(Database(f"sqlite:///{file}", pool_size=1, timeout=10)) as database:
        assert verify(database) == []
        return all_events(SqlRegistryStore(database))


def test_a_copy_made_beside_writers_is_the_registry_of_one_moment(
    nightly: Command, store: SqlRegistryStore, migrated_sqlite_url: str, copy: Path
):
    command = [sys.executable, "-c", WRITER, migrated_sqlite_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer, writers(store):
        assert writer.stdout is not None
        try:
            for number in range(5):
                acknowledged = int(writer.stdout.readline())
                made = nightly("db", "backup", str(copy), "--overwrite" if number else "--json")
                assert made.code == 0, made.stderr
                copied = history_of(copy)
                assert copied[-1].position >= acknowledged
                assert all_events(store)[: len(copied)] == copied
        finally:
            writer.kill()


def test_it_has_what_a_plain_copy_lacks(
    nightly: Command, store: SqlRegistryStore, registry: Path, copy: Path, tmp_path: Path
):
    nightly("lock", "sales", "nightly", *day(1))
    assert nightly("unlock", "sales", "nightly", *day(1)).code == 0
    plain = tmp_path / "plain.db"
    shutil.copy(registry, plain)
    told = nightly("db", "backup", str(copy))
    assert told.stdout == (
        f"The registry in sqlite:///{registry} is backed up in {copy} ({copy.stat().st_size:,} bytes).\n"
    )
    assert history_of(copy) == all_events(store)
    # Nothing in it shows that: it is, page for page, the registry as of the moment when its log was last written back.
    assert len(history_of(plain)) < len(all_events(store))


def test_it_needs_no_other_file_and_leaves_none(nightly: Command, registry: Path, copy: Path):
    registry.chmod(0o640)
    told = nightly("db", "backup", str(copy), "--json").json
    assert told["file"] == str(copy)
    assert told["bytes"] == copy.stat().st_size
    assert [each.name for each in copy.parent.iterdir()] == ["registry.db"]
    assert copy.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_registry_that_has_to_be_repaired_is_copied_as_it_is(nightly: Command, registry: Path, copy: Path):
    with closing(sqlite3.connect(registry)) as connection:
        connection.execute("DROP TABLE partition_registry_ready_interval")
    assert nightly("db", "backup", str(copy)).code == 0
    assert nightly("db", "verify", "--repair", url=f"sqlite:///{copy}").code == 0


class TestRefusals:
    def refused(self, run: Command, file: Path, *options: str, **more: str) -> str:
        before = _contents(file.parent)
        outcome = run("db", "backup", str(file), *options, "--json", **more)
        assert outcome.code in (2, 7), outcome
        assert _contents(file.parent) == before
        return outcome.error["message"]

    def test_a_file_is_replaced_only_when_told_to(self, nightly: Command, copy: Path):
        copy.write_text("the only copy of something else")
        assert "--overwrite" in self.refused(nightly, copy)
        assert nightly("db", "backup", str(copy), "--overwrite").code == 0
        assert history_of(copy)

    @pytest.mark.parametrize("has_links", [True, False])
    def test_a_file_that_appears_meanwhile_is_not_replaced(
        self, nightly: Command, copy: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
    ):
        link = os.link

        def comes(source: Path, target: Path) -> None:
            target.write_text("mine")
            if has_links:
                link(source, target)
            raise PermissionError

        monkeypatch.setattr(os, "link", comes)
        assert nightly("db", "backup", str(copy)).code == 2
        assert copy.read_text() == "mine"
        assert [each.name for each in copy.parent.iterdir()] == [copy.name]

    def test_a_file_system_without_links(self, nightly: Command, copy: Path, monkeypatch: pytest.MonkeyPatch):
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refuse)
        assert nightly("db", "backup", str(copy)).code == 0
        assert history_of(copy)
        assert [each.name for each in copy.parent.iterdir()] == [copy.name]

    def test_the_registry_itself_is_never_replaced(self, nightly: Command, registry: Path, tmp_path: Path):
        (tmp_path / "alias.db").symlink_to(registry)
        for name in ("registry.db", "alias.db"):
            assert "the registry itself" in self.refused(nightly, tmp_path / name, "--overwrite")

    @pytest.mark.parametrize("suffix", ["-wal", "-journal"])
    def test_a_database_that_somebody_has_open(self, nightly: Command, copy: Path, suffix: str):
        copy.with_name(copy.name + suffix).write_text("of another database")
        assert f"registry.db{suffix}" in self.refused(nightly, copy, "--overwrite")

    def test_a_folder_and_one_that_is_not_there(self, nightly: Command, tmp_path: Path, copy: Path):
        assert "is a folder" in self.refused(nightly, copy.parent)
        missing = nightly("db", "backup", str(tmp_path / "nowhere" / "registry.db"))
        assert (missing.code, "No such file or directory" in missing.stderr) == (7, True)

    def test_a_registry_that_is_not_there(self, run: Command, tmp_path: Path, copy: Path):
        assert "no file" in self.refused(run, copy, url=f"sqlite:///{tmp_path / 'typo.db'}")
        assert not (tmp_path / "typo.db").exists()

    def test_a_database_that_holds_none(self, run: Command, tmp_path: Path, copy: Path):
        with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
            connection.execute("CREATE TABLE t (a)")
        assert "No partition registry" in self.refused(run, copy, url=f"sqlite:///{tmp_path / 'other.db'}")

    def test_postgresql_has_tools_of_its_own(self, run: Command, copy: Path):
        told = self.refused(run, copy, url="postgresql://ann:secret@db.example.com/registry")
        assert "pg_dump" in told
        assert "secret" not in told

    def test_a_disk_that_is_full(self, nightly: Command, registry: Path, copy: Path):
        limited = (
            f"ulimit -f 64; exec {sys.executable} -m airflow_provider_partition_registry.cli db backup {copy}"
        )
        url = {"PARTITION_REGISTRY_URL": f"sqlite:///{registry}"}
        full = subprocess.run(
            ["bash", "-c", limited], capture_output=True, text=True, env={**os.environ, **url}, check=False
        )
        assert (full.returncode, "The backup cannot be written" in full.stderr) == (7, True), full.stderr
        assert _contents(copy.parent) == {}


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.is_file() and not each.name.startswith("registry.db-shm")
    }
