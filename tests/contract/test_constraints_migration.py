"""Migration 0005, which adds constraints: which rows prevent it, and what it must not change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy import inspect

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import VERSION_TABLE
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.contract.homes import hours

PREFIX = "partition_registry"
TABLE = f"{PREFIX}_partition"
AT = 1_777_777_777_000_000
CLASS_OF_AN_HOUR = 11
LOCK = {"holder": "'p'", "holder_details": "'{}'", "locked_at": str(AT)}
STATES = {
    "ready": LOCK | {"published_at": str(AT)},
    "locked": LOCK | {"former_state": "'registered'", "former_changed_at": str(AT)},
    "failed": LOCK | {"reason": "'disk full'"},
}
EVENTS_TO = {"ready": ["LOCK", "UNLOCK"], "locked": ["LOCK"], "failed": ["LOCK", "FAIL"]}
KEY = PartitionKey("s", "p", hours(0, 1))

ADDED_COLUMNS = {f"{PREFIX}_source": 2, f"{PREFIX}_provider": 1, f"{PREFIX}_history": 2}
ADDED_TABLES = (f"{PREFIX}_restoration", f"{PREFIX}_heartbeat", f"{PREFIX}_pruning")
"""What later versions have added: how many columns to which tables, and tables."""


@pytest.fixture
def before(empty_url: str) -> Iterator[SqlRegistryStore]:
    """A registry as :func:`fill` makes it."""
    with closing(Database(empty_url, pool_size=2, timeout=30)) as database:
        yield fill(database)


@pytest.fixture
def sqlite_before(sqlite_url: str) -> Iterator[SqlRegistryStore]:
    """As ``before``, in SQLite only."""
    with closing(Database(sqlite_url, pool_size=2, timeout=30)) as database:
        yield fill(database)


def fill(database: Database) -> SqlRegistryStore:
    """Make a registry of the version before, with a ready, a locked and a failed partition, and open it."""
    database.write(lambda connection: command.upgrade(revisions.alembic_config(connection, database), "0004"))
    execute(database, *_rows())
    return SqlRegistryStore(database)


def _rows() -> Iterator[str]:
    """The statements that fill it."""
    events = [
        "'SOURCE_REGISTERED', {at}, 1, NULL, NULL, NULL, NULL, NULL",
        "'GRANTED', {at}, 1, 1, NULL, NULL, NULL, NULL",
    ]
    yield f"INSERT INTO {PREFIX}_source (name, owner, registered_at) VALUES ('s', 'ann', {AT})"
    yield f"INSERT INTO {PREFIX}_provider (name, registered_at) VALUES ('p', {AT})"
    yield f"INSERT INTO {PREFIX}_grant VALUES (1, 1, {AT})"
    yield f"INSERT INTO {PREFIX}_length_class VALUES (1, {CLASS_OF_AN_HOUR}, {8**CLASS_OF_AN_HOUR})"
    for hour, (state, set_by_state) in enumerate(STATES.items()):
        interval = ", ".join(
            str(to_microseconds(each)) for each in (hours(hour, hour + 1).start, hours(hour, hour + 1).end)
        )
        yield (
            f"INSERT INTO {PREFIX}_partition (source_id, provider_id, interval_start, interval_end, length_class, "
            f"generation, registered_at, changed_at, exclusive, state, {', '.join(set_by_state)}) "
            f"VALUES (1, 1, {interval}, {CLASS_OF_AN_HOUR}, 1, {AT}, {AT}, false, '{state}', "
            f"{', '.join(set_by_state.values())})"
        )
        events.append(f"'PARTITION_REGISTERED', {{at}}, 1, 1, {interval}, NULL, NULL")
        events += [f"'{each}', {{at}}, 1, 1, {interval}, 'p', 1" for each in EVENTS_TO[state]]
        if state == "ready":
            yield f"INSERT INTO {PREFIX}_ready_interval VALUES (1, {interval})"
    for position, line in enumerate(events, start=1):
        yield f"INSERT INTO {PREFIX}_event VALUES ({position}, {line.format(at=AT)}, '{{}}')"
    yield f"UPDATE {PREFIX}_history SET last_position = {len(events)}"


def execute(database: Database, *statements: str) -> None:
    def work(connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    database.write(work)


def everything(database: Database) -> dict[str, list[tuple]]:
    def read(connection) -> dict[str, list[tuple]]:
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}").all()), key=repr)
            for name in sorted(revisions.TABLES.intersection(inspect(connection).get_table_names()))
        }

    return database.read(read)


def names_of_constraints(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        found = inspect(connection)
        names = revisions.TABLES.intersection(found.get_table_names())
        return {each["name"] for name in names for each in found.get_check_constraints(name)}


class TestRowsInTheWay:
    def test_they_are_named_and_nothing_changes(self, before: SqlRegistryStore) -> None:
        execute(
            before.database,
            f"UPDATE {TABLE} SET published_at = NULL, generation = -5 WHERE state = 'ready'",
            f"UPDATE {TABLE} SET state = 'banana' WHERE state = 'failed'",
            "INSERT INTO partition_registry_history VALUES (2, 1)",
        )
        was, constraints = everything(before.database), names_of_constraints(before.database)
        for _ in range(2):
            with pytest.raises(errors.SchemaBlockedError) as caught:
                revisions.upgrade(before.database)
            assert caught.value.rows == (
                f"{TABLE} id 1 breaks state, generation, whole_lock",
                f"{TABLE} id 3 breaks state",
                "partition_registry_history id 2 breaks one_row",
            )
            assert caught.value.count == 3
            assert before.database.name in caught.value.message
        assert (everything(before.database), names_of_constraints(before.database)) == (was, constraints)
        assert revisions.current(before.database) == "0004"

    def test_once_they_are_repaired_the_upgrade_succeeds(self, before: SqlRegistryStore) -> None:
        execute(before.database, f"UPDATE {TABLE} SET reason = NULL WHERE state = 'failed'")
        with pytest.raises(errors.SchemaBlockedError, match=f"{TABLE} id 3 breaks state"):
            revisions.upgrade(before.database)
        execute(before.database, f"UPDATE {TABLE} SET reason = 'disk full' WHERE state = 'failed'")
        assert revisions.upgrade(before.database) == revisions.HEAD
        assert verify(before.database) == []

    def test_a_few_of_many_are_shown(self, before: SqlRegistryStore) -> None:
        execute(
            before.database,
            *[f"INSERT INTO partition_registry_history VALUES ({number}, 1)" for number in range(2, 32)],
        )
        with pytest.raises(errors.SchemaBlockedError, match=r"\(30\): .*; and 10 more\.") as caught:
            revisions.upgrade(before.database)
        assert (caught.value.count, len(caught.value.rows)) == (30, 20)

    def test_opening_a_sqlite_registry_reports_them(self, before: SqlRegistryStore) -> None:
        execute(before.database, f"UPDATE {TABLE} SET state = 'banana' WHERE state = 'failed'")
        expected = errors.SchemaBlockedError if before.database.is_sqlite else errors.SchemaOutdatedError
        with pytest.raises(expected):
            SqlRegistryStore(before.database).get_source("s")


def test_no_row_is_changed(before: SqlRegistryStore) -> None:
    was = everything(before.database)
    revisions.upgrade(before.database)
    now = everything(before.database)
    assert (was.pop(VERSION_TABLE), now.pop(VERSION_TABLE)) == (
        [("0004",)],
        [(revisions.HEAD,)],
    )
    for table, added in ADDED_COLUMNS.items():
        assert [row[:-added] for row in now.pop(table)] == was.pop(table)
    assert [now.pop(table) for table in ADDED_TABLES] == [[]] * len(ADDED_TABLES)
    assert now == was


def test_a_process_of_the_version_before_goes_on(before: SqlRegistryStore) -> None:
    revisions.upgrade(before.database)
    before.unlock(PartitionKey("s", "p", hours(1, 2)))
    before.lock(PartitionKey("s", "p", hours(0, 3)), register=True)
    before.release(PartitionKey("s", "p", hours(0, 3)))
    assert before.get_partition(KEY).state is PartitionState.READY
    assert verify(before.database) == []


def test_what_people_put_on_the_tables_of_sqlite_stays(sqlite_before: SqlRegistryStore) -> None:
    """SQLite's tables are copied, with what people attached to them."""
    database = sqlite_before.database
    execute(
        database,
        f"CREATE INDEX people_by_change ON {TABLE} (changed_at)",
        f"CREATE VIEW people_ready AS SELECT interval_start FROM {TABLE} WHERE state = 'ready'",
        "CREATE TABLE people_log (what TEXT)",
        f"CREATE TRIGGER people_note AFTER UPDATE ON {TABLE} BEGIN INSERT INTO people_log VALUES (new.state); END",
        f"CREATE TRIGGER people_owner AFTER UPDATE ON {PREFIX}_source "
        "BEGIN INSERT INTO people_log VALUES (new.owner); END",
    )
    added = ", ".join(f"'{table}'" for table in ADDED_TABLES)
    statement = (
        f"SELECT type, name, tbl_name FROM sqlite_master WHERE tbl_name NOT IN ({added}) ORDER BY name"
    )
    was = database.read(lambda connection: connection.exec_driver_sql(statement).all())
    revisions.upgrade(database)
    assert database.read(lambda connection: connection.exec_driver_sql(statement).all()) == was
    sqlite_before.invalidate(KEY, reason="wrong", by="ann")
    logged = "SELECT what FROM people_log UNION ALL SELECT interval_start FROM people_ready"
    assert database.read(lambda connection: connection.exec_driver_sql(logged).scalars().all()) == ["failed"]
    with pytest.raises(errors.StoreRefusedError, match="FOREIGN KEY"):
        execute(database, "DELETE FROM partition_registry_source")


def test_a_reader_in_the_midst_is_not_disturbed(before: SqlRegistryStore) -> None:
    """In SQLite a reader in a snapshot holds up no upgrade; in PostgreSQL each of its statements waits its turn."""
    statement = f"SELECT count(*) FROM {TABLE}"
    with before.database.engine.connect() as reader:
        if before.database.is_sqlite:
            reader.exec_driver_sql("BEGIN")
        assert reader.exec_driver_sql(statement).scalar() == 3
        revisions.upgrade(before.database)
        assert reader.exec_driver_sql(statement).scalar() == 3
        if before.database.is_sqlite:
            reader.exec_driver_sql("ROLLBACK")
    assert verify(before.database) == []


KILLED = """
import os, signal, sys
from sqlalchemy import event
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.database.engine import Database

def look(_connection, _cursor, statement, *_):
    if " ".join(statement.split()).startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

database = Database(sys.argv[1], pool_size=1, timeout=30)
event.listen(database.engine, "before_cursor_execute", look)
revisions.upgrade(database)
"""


@pytest.mark.parametrize("half", ["first", "second"])
def test_an_upgrade_that_is_killed_changes_nothing(
    before: SqlRegistryStore, empty_url: str, half: str
) -> None:
    if before.database.is_sqlite:
        at = f"DROP TABLE {TABLE}" if half == "first" else "UPDATE partition_registry_version"
    else:
        at = f"ALTER TABLE {TABLE}" if half == "first" else "UPDATE partition_registry_version"
    was = everything(before.database)
    killed = subprocess.run([sys.executable, "-c", KILLED, empty_url, at], check=False)
    assert killed.returncode == -9
    assert everything(before.database) == was
    assert revisions.upgrade(before.database) == revisions.HEAD
    assert verify(before.database) == []
