"""The schema: created by migrations, checked on opening, upgraded by the first process that opens it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import VERSION_TABLE, metadata
from airflow_provider_partition_registry.store.sql.store import open_sql_store

PROCESSES = 8
DERIVED = {f"partition_registry_{each}" for each in ("ready_interval", "length_class", "history")}


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url, pool_size=PROCESSES, timeout=30)
    yield database
    database.close()


def set_revision(database: Database, revision: str) -> None:
    statement = text(f"UPDATE {VERSION_TABLE} SET version_num = :revision")
    database.write(lambda connection: connection.execute(statement, {"revision": revision}))


def test_migrations_make_exactly_the_tables(database: Database) -> None:
    revisions.upgrade(database)
    with database.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_migrations_make_exactly_the_constraints(database: Database) -> None:
    """Alembic does not compare constraints. The database words them in its own way, so both are read back from it."""
    revisions.upgrade(database)
    migrated = check_constraints(database)
    drop(database, *[each.name for each in reversed(metadata.sorted_tables)])
    database.write(metadata.create_all)
    assert migrated == check_constraints(database)
    assert set(migrated) == {table.name for table in metadata.sorted_tables}


def check_constraints(database: Database) -> dict[str, dict[str, str]]:
    """The conditions by table and constraint."""
    with database.engine.connect() as connection:
        found = inspect(connection)
        return {
            table.name: {each["name"]: each["sqltext"] for each in found.get_check_constraints(table.name)}
            for table in metadata.sorted_tables
        }


def test_the_revisions_are_those_of_the_migrations_folder() -> None:
    scripts = ScriptDirectory(str(revisions.MIGRATIONS))
    assert [each.revision for each in scripts.walk_revisions()][::-1] == list(revisions.REVISIONS)
    assert scripts.get_heads() == [revisions.HEAD]
    files = sorted(path.name[:4] for path in (revisions.MIGRATIONS / "versions").glob("*.py"))
    assert files == [each[:4] for each in revisions.REVISIONS]


def test_upgrading_twice_changes_nothing(database: Database, empty_url: str) -> None:
    assert revisions.current(database) is None
    assert revisions.upgrade(database) == revisions.HEAD
    with open_store(empty_url) as store:
        store.register_source("s", "ann")
        revisions.upgrade(database)
        assert revisions.current(database) == revisions.HEAD
        assert store.get_source("s").owner == "ann"


def test_a_registry_shares_its_database_with_others(database: Database) -> None:
    for statement in (
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('theirs')",
        "CREATE TABLE partition (id INTEGER)",
    ):
        database.write(lambda connection, statement=statement: connection.execute(text(statement)))
    revisions.upgrade(database)
    theirs = text("SELECT version_num FROM alembic_version")
    assert database.read(lambda connection: connection.execute(theirs).scalar()) == "theirs"
    assert all(name.startswith("partition_registry_") for name in (VERSION_TABLE, *metadata.tables))


def test_sqlite_creates_itself(sqlite_url: str) -> None:
    with open_store(sqlite_url) as store:
        assert store.list_sources().items == ()
        assert store.register_source("s", "ann").source.id


@pytest.mark.postgres
def test_postgres_asks_for_an_upgrade(new_postgres_url: Callable[..., str]) -> None:
    with open_store(new_postgres_url(template=None)) as store:
        for call in (store.list_sources, lambda: store.register_source("s", "ann"), store.list_sources):
            with pytest.raises(errors.SchemaMissingError, match="partition-registry db upgrade"):
                call()


@pytest.mark.postgres
def test_an_opened_store_works_once_the_schema_is_there(new_postgres_url: Callable[..., str]) -> None:
    url = new_postgres_url(template=None)
    with open_store(url) as store:
        with pytest.raises(errors.SchemaMissingError):
            store.list_sources()
        revisions.upgrade(Database(url, pool_size=1, timeout=30))
        assert store.list_sources().items == ()


def test_a_newer_schema_is_left_alone(database: Database, empty_url: str) -> None:
    revisions.upgrade(database)
    set_revision(database, "9999")
    with open_store(empty_url) as store:
        for _ in range(2):
            with pytest.raises(errors.SchemaNewerError, match="9999"):
                store.list_sources()
    with pytest.raises(errors.SchemaNewerError, match="9999"):
        revisions.upgrade(database)
    assert revisions.current(database) == "9999"


@pytest.mark.postgres
def test_an_older_schema_asks_for_an_upgrade(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "REVISIONS", (*revisions.REVISIONS, "9999"))
    monkeypatch.setattr(revisions, "HEAD", "9999")
    with open_store(postgres_url) as store, pytest.raises(errors.SchemaOutdatedError, match="db upgrade"):
        store.list_sources()


def test_a_failed_upgrade_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(op, "bulk_insert", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            revisions.upgrade(database)
    assert revisions.current(database) is None
    assert revisions.upgrade(database) == revisions.HEAD


def drop(database: Database, *names: str) -> None:
    def work(connection: Connection) -> None:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for name in names:
            connection.exec_driver_sql(f"DROP TABLE {name} {'' if database.is_sqlite else 'CASCADE'}")

    database.write(work)


@pytest.mark.parametrize("name", sorted(revisions.TABLES))
def test_a_dropped_table_is_named_by_whoever_looks(database: Database, empty_url: str, name: str) -> None:
    revisions.upgrade(database)
    drop(database, name)
    with open_store(empty_url) as store:
        for call in (
            store.list_sources,
            lambda: store.register_source("s", "ann"),
            lambda: revisions.current(database),
            lambda: revisions.require(database),
            lambda: revisions.upgrade(database),
        ):
            with pytest.raises(errors.SchemaDamagedError, match=name) as caught:
                call()
            assert caught.value.missing == with_sequence(database, name)
            remedy = "db verify --repair" if name in DERIVED else "from a backup"
            assert remedy in caught.value.message


def with_sequence(database: Database, *dropped: str) -> tuple[str, ...]:
    """What is missing after these tables were dropped: with the events goes the sequence that numbers them."""
    goes = "partition_registry_event" in dropped and not database.is_sqlite
    return tuple(sorted({*dropped, "partition_registry_event_position"} if goes else dropped))


def test_a_version_that_was_deleted_is_missed_like_its_table(database: Database, empty_url: str) -> None:
    revisions.upgrade(database)
    database.write(lambda connection: connection.exec_driver_sql(f"DELETE FROM {VERSION_TABLE}"))
    with open_store(empty_url) as store:
        for call in (
            store.list_sources,
            lambda: revisions.current(database),
            lambda: revisions.upgrade(database),
        ):
            with pytest.raises(errors.SchemaDamagedError, match="from a backup") as caught:
                call()
            assert caught.value.missing == (VERSION_TABLE,)


def test_a_table_that_is_dropped_later_is_named_as_well(database: Database, empty_url: str) -> None:
    revisions.upgrade(database)
    with open_store(empty_url) as store:
        store.list_sources()
        drop(database, "partition_registry_event", "partition_registry_history")
        for call in (store.events, lambda: store.register_source("s", "ann")):
            with pytest.raises(errors.SchemaDamagedError, match="partition_registry_event") as caught:
                call()
            missing = with_sequence(database, "partition_registry_event", "partition_registry_history")
            assert caught.value.missing == missing


def test_a_registry_that_is_dropped_is_missing(database: Database, empty_url: str) -> None:
    revisions.upgrade(database)
    with open_store(empty_url) as store:
        store.list_sources()
        drop(database, *[each.name for each in reversed(metadata.sorted_tables)], VERSION_TABLE)
        with pytest.raises(errors.SchemaMissingError):
            store.events()


LOADED_AT_BEGIN = """
import sys
from sqlalchemy import event
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.database.engine import Database

def look(_connection, _cursor, statement, *_):
    if statement.startswith("BEGIN"):
        print("alembic.command" in sys.modules)

database = Database(sys.argv[1], pool_size=1, timeout=30)
event.listen(database.engine, "before_cursor_execute", look)
revisions.upgrade(database)
database.close()
"""


def test_nobody_waits_while_alembic_is_loaded(sqlite_url: str) -> None:
    """Importing it takes seconds on a busy machine, and eight imports in a row made the last process give up."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED_AT_BEGIN, sqlite_url], capture_output=True, check=True
    )
    assert told.stdout.split() == [b"True"]


def test_many_threads_upgrade_at_once(database: Database) -> None:
    with ThreadPoolExecutor(PROCESSES) as pool:
        assert set(pool.map(lambda _: revisions.upgrade(database), range(PROCESSES))) == {revisions.HEAD}


def open_and_write(url: str, start_at: float, number: int) -> None:
    with open_store(url, timeout=30) as store:
        time.sleep(
            max(0.0, start_at - time.time())
        )  # a common starting time, as processes share no other signal
        store.register_source(f"s{number}", "ann")


def test_many_processes_open_a_new_registry_at_once(
    empty_url: str, database: Database, processes: ProcessPoolExecutor
) -> None:
    if not database.is_sqlite:
        revisions.upgrade(database)
    wait([processes.submit(time.sleep, 0.1) for _ in range(PROCESSES)])
    start_at = time.time() + 0.3
    started = [processes.submit(open_and_write, empty_url, start_at, n) for n in range(PROCESSES)]
    for each in started:
        each.result(90)
    with open_store(empty_url) as store:
        assert len(store.list_sources().items) == PROCESSES


def test_many_new_registries_of_one_process_at_once(tmp_path: Path) -> None:
    stores = [open_store(f"sqlite:///{tmp_path / f'{number}.db'}") for number in range(PROCESSES)]
    together = threading.Barrier(PROCESSES)

    def open_and_register(store: RegistryStore) -> None:
        with store:
            together.wait(30)
            store.register_source("s", "ann")

    with ThreadPoolExecutor(PROCESSES) as pool:
        list(pool.map(open_and_register, stores))
    for store in stores:
        assert [source.name for source in store.list_sources().items] == ["s"]
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        *["", "nonsense", "mysql://host/db", "http:/", "sqlite://", "sqlite:///:memory:", None, 5],
        *["postgresql://host:port/db", "sqlite:////no/such/folder/registry.db"],
    ],
)
def test_urls_that_name_no_home(url: str) -> None:
    with pytest.raises(errors.InvalidInputError) as caught:
        open_store(url)
    assert "None" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    with open_sql_store("postgresql://ann:s3cret@127.0.0.1:1/db", pool_size=1, timeout=1) as store:
        with pytest.raises(errors.StoreUnavailableError) as caught:
            store.list_sources()
        assert "s3cret" not in f"{caught.value} {store!r} {store.database!r} {store.database.name}"
