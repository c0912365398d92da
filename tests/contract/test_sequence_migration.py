"""Migration 0006: positions from a sequence, once no process of a former version is left that counts them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic import command
from sqlalchemy.exc import IntegrityError

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance import finishing
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.contract.homes import all_events, hours
from tests.contract.test_migrations import AT, EVENTS, FILL, PREFIX, execute

FORMER_WRITER = (
    f"WITH next AS (UPDATE {PREFIX}_history SET last_position = last_position + 1 RETURNING last_position) "
    f"INSERT INTO {PREFIX}_event (position, type, at, source_id, provider_id, details) "
    f"SELECT last_position, 'GRANTED', {AT}, 1, 1, '{{}}' FROM next"
)
"""How versions before 0006 write an event on PostgreSQL."""


@pytest.fixture
def upgraded(new_postgres_url) -> Iterator[SqlRegistryStore]:
    """A registry with a history of the version before."""
    with closing(Database(new_postgres_url(template=None), pool_size=8, timeout=30)) as database:
        database.write(
            lambda connection: command.upgrade(revisions.alembic_config(connection, database), "0005")
        )
        execute(database, *FILL["0005"])
        revisions.upgrade(database)
        yield SqlRegistryStore(database)


def positions(store: SqlRegistryStore) -> list[int]:
    return [event.position for event in all_events(store)]


@pytest.mark.postgres
class TestUpgraded:
    def test_former_versions_and_this_one_count_together(self, upgraded: SqlRegistryStore) -> None:
        upgraded.register_partition(PartitionKey("s", "p", hours(0, 1)))
        execute(upgraded.database, FORMER_WRITER)
        upgraded.lock(PartitionKey("s", "p", hours(0, 1)))
        assert positions(upgraded) == list(range(1, len(EVENTS) + 4))
        assert upgraded.last_position() == len(EVENTS) + 3
        assert not finishing.is_finished(upgraded.database)
        assert verify(upgraded.database) == []

    def test_when_it_is_finished_positions_go_on_from_the_sequence(self, upgraded: SqlRegistryStore) -> None:
        execute(upgraded.database, FORMER_WRITER)
        finishing.finish(upgraded.database)
        upgraded.register_partition(PartitionKey("s", "p", hours(0, 1)))
        assert positions(upgraded) == list(range(1, len(EVENTS) + 3))
        assert finishing.is_finished(upgraded.database)
        finishing.finish(upgraded.database)
        assert verify(upgraded.database) == []

    def test_then_a_former_version_can_write_no_more(self, upgraded: SqlRegistryStore) -> None:
        finishing.finish(upgraded.database)
        before = all_events(upgraded)
        with pytest.raises(IntegrityError, match="null value"):
            upgraded.database.engine.connect().exec_driver_sql(FORMER_WRITER)
        assert all_events(upgraded) == before

    @pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
    def test_a_lost_event_is_noticed(self, upgraded: SqlRegistryStore, before: bool) -> None:
        if not before:
            finishing.finish(upgraded.database)
        upgraded.register_partition(PartitionKey("s", "p", hours(0, 1)))
        execute(upgraded.database, f"DELETE FROM {PREFIX}_event WHERE position = 2")
        (found,) = verify(upgraded.database)
        assert (found.kind.value, found.count) == ("history_gap", 1)

    def test_nobody_has_to_stop_meanwhile(self, upgraded: SqlRegistryStore) -> None:
        stop, errors = threading.Event(), []

        def write(number: int) -> None:
            try:
                day = 0
                while not stop.is_set() or day < 10:
                    upgraded.register_partition(
                        PartitionKey("s", "p", hours(day + 1000 * number, day + 1000 * number + 1))
                    )
                    day += 1
            except BaseException as error:
                errors.append(error)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for each in writers:
            each.start()
        finishing.finish(upgraded.database)
        stop.set()
        for each in writers:
            each.join()
        assert errors == []
        found = positions(upgraded)
        assert found == sorted(set(found))
        assert verify(upgraded.database) == []


@pytest.mark.postgres
def test_a_new_registry_has_nothing_to_finish(postgres_url: str) -> None:
    with closing(Database(postgres_url, pool_size=1, timeout=30)) as database:
        assert finishing.is_finished(database)


def test_sqlite_has_nothing_to_finish(migrated_sqlite_url: str) -> None:
    with closing(Database(migrated_sqlite_url, pool_size=1, timeout=30)) as database:
        assert finishing.is_finished(database)
        finishing.finish(database)
