"""``db``: upgrade, current and verify; what verify finds is tested in ``verification``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.command import upgrade

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema.revisions import HEAD, alembic_config
from tests.cli.conftest import Command, day


@pytest.fixture
def empty(run: Command, tmp_path: Path) -> Command:
    """A command whose registry does not exist yet."""
    (tmp_path / "empty").mkdir()
    return partial(run, url=f"sqlite:///{tmp_path / 'empty' / 'registry.db'}")


def test_upgrade_and_current(empty: Command):
    assert empty("db", "current").code == 7
    assert empty("db", "upgrade").stdout.endswith(f"is at schema {HEAD}.\n")
    assert empty("db", "current").stdout == f"{HEAD}\n"
    assert empty("db", "current", "--json").json["revision"] == HEAD
    assert empty("db", "upgrade", "--json").json["revision"] == HEAD


@pytest.mark.postgres
def test_a_postgres_without_a_registry(run: Command, new_postgres_url: Callable[..., str]):
    in_postgres = partial(run, url=new_postgres_url(None))
    for arguments in (("db", "current"), ("db", "verify"), ("source", "list")):
        refused = in_postgres(*arguments)
        assert refused.code == 7
        assert "partition-registry db upgrade" in refused.stderr
    assert in_postgres("db", "upgrade").code == 0
    assert in_postgres("db", "current").stdout == f"{HEAD}\n"


def test_rows_that_keep_the_schema_from_being_upgraded(empty: Command, tmp_path: Path):
    file = tmp_path / "empty" / "registry.db"
    with closing(Database(f"sqlite:///{file}", pool_size=1, timeout=10)) as database:
        database.write(lambda connection: upgrade(alembic_config(connection, database), "0004"))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO partition_registry_history VALUES (2, 1)")
    refused = empty("db", "upgrade")
    assert (refused.code, refused.stdout) == (7, "")
    assert (
        "Rows that no call could have written (1): partition_registry_history id 2 breaks one_row."
        in refused.stderr
    )
    assert empty("db", "upgrade", "--json").error["code"] == "schema_blocked"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM partition_registry_history WHERE id = 2")
    assert empty("db", "upgrade").code == 0
    assert empty("db", "verify").code == 0


@pytest.mark.parametrize("command", ["current", "verify"])
def test_reading_commands_create_no_registry(empty: Command, tmp_path: Path, command: str):
    refused = empty("db", command, "--json")
    assert (refused.code, refused.error["code"]) == (7, "registry_file_missing")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.parametrize("command", ["current", "verify", "upgrade"])
def test_the_advice_for_a_dropped_table_works(nightly: Command, tmp_path: Path, command: str):
    with closing(sqlite3.connect(tmp_path / "registry.db")) as connection:
        connection.execute("DROP TABLE partition_registry_ready_interval")
    refused = nightly("db", command, "--json")
    assert (refused.code, refused.error["code"]) == (7, "schema_damaged")
    assert "Missing: partition_registry_ready_interval." in refused.error["message"]
    assert refused.error["message"].endswith("partition-registry db verify --repair")
    assert nightly("db", "verify", "--repair").stdout.startswith(
        "Repaired: Registry: tables that were dropped"
    )
    assert nightly("db", command).code == 0


def test_verify(nightly: Command):
    for number in (1, 2):
        nightly("lock", "sales", "nightly", *day(number))
        assert nightly("unlock", "sales", "nightly", *day(number)).code == 0
    sound = nightly("db", "verify")
    assert (sound.code, sound.stderr) == (0, "")
    assert sound.stdout.endswith(" is sound.\n")
    assert json.loads(nightly("db", "verify", "--json").stdout)["discrepancies"] == []
