"""The contract at the schema of a newer version that this one may go on with, and what is left to the newer one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance import finishing
from airflow_provider_partition_registry.store.sql.maintenance.verification import repair, verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from testbed.postgres import PostgresServer
from testbed.versions import NEXT, Version, next_version
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import emptied, sql_home
from tests.contract.test_schema import drop, set_revision

TEMPLATE = "newer"


@pytest.fixture(scope="module")
def newer_version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return next_version(tmp_path_factory.mktemp("next"))


@pytest.fixture(scope="module")
def newer_on_postgres(newer_version: Version, postgres: PostgresServer) -> str:
    """The name of a database that others are copied from."""
    upgrade_to_newer(newer_version, postgres.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="module")
def newer_on_sqlite(newer_version: Version, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that others are copied from."""
    file = tmp_path_factory.mktemp("newer") / "registry.db"
    upgrade_to_newer(newer_version, f"sqlite:///{file}")
    return file


def upgrade_to_newer(version: Version, url: str) -> None:
    ended = version.command(url, "db", "upgrade")
    assert ended.returncode == 0, ended


@pytest.fixture(scope="module")
def kept(newer_on_postgres: str, postgres: PostgresServer) -> Iterator[Home]:
    with sql_home(postgres.create_database("newer_contract", newer_on_postgres)) as home:
        yield home


@pytest.mark.postgres
class TestNewerPostgres(RegistryStoreContract):
    @pytest.fixture
    def home(self, kept: Home) -> Home:
        return emptied(kept)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def newer_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """An empty registry that the newer version made."""
    made = request.getfixturevalue(f"newer_on_{request.param}")
    if request.param == "postgres":
        return str(request.getfixturevalue("new_postgres_url")(made))
    shutil.copy(made, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


@pytest.fixture
def newer(newer_url: str) -> Iterator[Database]:
    with closing(Database(newer_url, pool_size=1, timeout=30)) as database:
        yield database


def test_it_is_at_the_newer_schema_and_stays_there(newer: Database) -> None:
    assert revisions.current(newer) == revisions.require(newer) == revisions.upgrade(newer) == NEXT
    assert verify(newer) == []


def test_what_works_on_the_tables_themselves_is_left_to_the_newer_version(newer: Database) -> None:
    for work in (finishing.finish, repair):
        with pytest.raises(errors.SchemaNewerError, match=NEXT):
            work(newer)


def test_a_dropped_table_is_missed_and_not_made_anew_in_its_old_form(newer: Database) -> None:
    drop(newer, "partition_registry_history")
    with pytest.raises(errors.SchemaDamagedError, match="partition_registry_history") as caught:
        repair(newer)
    assert not caught.value.is_repairable


@pytest.mark.parametrize("revision", ["9999", "9999_since_9998", "9999_since_"])
def test_any_other_newer_schema_is_refused(newer: Database, newer_url: str, revision: str) -> None:
    set_revision(newer, revision)
    with open_store(newer_url) as store, pytest.raises(errors.SchemaNewerError, match=revision):
        store.list_sources()
    with pytest.raises(errors.SchemaNewerError, match=revision):
        revisions.upgrade(newer)


def test_an_older_version_than_it_serves_is_refused(newer: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "HEAD", "0006")
    monkeypatch.setattr(revisions, "REVISIONS", revisions.REVISIONS[:-1])
    with pytest.raises(errors.SchemaNewerError, match=NEXT):
        revisions.require(newer)
