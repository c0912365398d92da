"""A pruned registry that is backed up and restored, or whose upgrade is finished."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    LostPositionError,
    PrunedPositionError,
)
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance import finishing, pruning
from airflow_provider_partition_registry.store.sql.maintenance.backup import back_up
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from tests.contract.homes import all_events, hours
from tests.contract.sql import pruned
from tests.contract.test_migrations import FILL, PREFIX, execute
from tests.contract.test_restored import DUMP, RESTORE, run

EITHER = pytest.mark.parametrize(
    "url", ["sqlite_url", pytest.param("postgres_url", marks=pytest.mark.postgres)]
)
KEY = PartitionKey("s", "p", hours(0, 1))


def fill(store: SqlRegistryStore, times: int) -> int:
    """Write a partition again and again, and return the last position."""
    if not store.list_sources().items:
        store.register_provider("p", store.register_source("s", "ann").access_token)
    for _ in range(times):
        store.lock(KEY, register=True)
        store.unlock(KEY)
    return store.last_position()


def prune_all(store: SqlRegistryStore) -> int:
    return pruned(store, datetime.now(UTC))[0]


def opened(url: str) -> SqlRegistryStore:
    return open_sql_store(url, pool_size=1, timeout=30)


@EITHER
def test_what_was_pruned_and_what_was_lost_are_told_apart(
    request: pytest.FixtureRequest, url: str, tmp_path: Path
) -> None:
    """The registry is pruned, backed up, goes on, is restored, and is pruned beyond that."""
    url = request.getfixturevalue(url)
    copy = tmp_path / "copy"
    with opened(url) as store:
        begun = fill(store, 1) - 1
        kept = fill(store, 3)
        prune_all(store)
        if store.database.is_sqlite:
            back_up(store.database, copy)
        else:
            run("pg_dump", *DUMP, f"--file={copy}", f"--dbname={url}")
        lost = fill(store, 3)
        prune_all(store)
    if url.startswith("sqlite"):
        shutil.copyfile(copy, url.removeprefix("sqlite:///"))
    else:
        run("pg_restore", *RESTORE, f"--dbname={url}", copy)
    with opened(url) as store:
        first = fill(store, 1) - 1
        assert [each.position for each in store.events(kept).items] == [first, first + 1]
        with pytest.raises(PrunedPositionError):
            store.events(begun)
        for cursor in (kept + 1, lost):
            with pytest.raises(LostPositionError):
                store.events(cursor)
        assert store.changed_since("s", hours(0, 1), lost)
        assert verify(store.database) == []
        prune_all(store)  # beyond the restoration
        for cursor in (begun, kept, kept + 1, lost):
            with pytest.raises(PrunedPositionError):
                store.events(cursor)
        store.notice_restoration(is_told=True)
        end = fill(store, 2)
        assert store.events(end).items == ()
        assert verify(store.database) == []


@EITHER
def test_a_lost_event_is_noticed_also_when_the_history_was_pruned(
    request: pytest.FixtureRequest, url: str
) -> None:
    with opened(request.getfixturevalue(url)) as store:
        fill(store, 3)
        prune_all(store)
        last = fill(store, 2)
        for position in (last - 1, 1):
            execute(store.database, f"DELETE FROM {PREFIX}_event WHERE position = {position}")
            (found,) = verify(store.database)
            assert found.kind == "history_gap"
        assert found.count == 2
        execute(store.database, f"DELETE FROM {PREFIX}_pruning")
        (found,) = verify(store.database)
        assert found.kind == "history_gap"


@EITHER
def test_a_partition_that_is_not_what_its_last_event_says_is_noticed_as_before(
    request: pytest.FixtureRequest, url: str
) -> None:
    with opened(request.getfixturevalue(url)) as store:
        fill(store, 3)
        prune_all(store)
        execute(store.database, f"UPDATE {PREFIX}_partition SET generation = 7")
        assert {each.kind for each in verify(store.database)} == {"partition_history"}


@pytest.mark.postgres
def test_a_registry_that_counts_its_positions_is_pruned_and_then_finished(new_postgres_url) -> None:
    with closing(Database(new_postgres_url(template=None), pool_size=4, timeout=30)) as database:
        database.write(
            lambda connection: command.upgrade(revisions.alembic_config(connection, database), "0005")
        )
        execute(database, *FILL["0005"])
        revisions.upgrade(database)
        store = SqlRegistryStore(database)
        fill(store, 3)
        assert not finishing.is_finished(database)
        assert prune_all(store) > 0
        assert verify(database) == []
        fill(store, 1)
        finishing.finish(database)
        assert verify(database) == []
        fill(store, 2)
        assert prune_all(store) > 0
        fill(store, 1)
        assert verify(database) == []
        execute(database, f"DELETE FROM {PREFIX}_event WHERE position = {store.last_position() - 1}")
        assert [each.kind for each in verify(database)] == ["history_gap"]


@EITHER
def test_a_turn_is_taken_by_one(request: pytest.FixtureRequest, url: str) -> None:
    with opened(request.getfixturevalue(url)) as store:
        fill(store, 1)
        day = timedelta(days=1)
        assert [pruning.take_turn(store.database, day) is None for _ in range(3)] == [False, True, True]
        assert pruning.take_turn(store.database, timedelta(0)) is not None
        execute(store.database, f"UPDATE {PREFIX}_history SET pruned_at = pruned_at + 86400000000")
        assert pruning.take_turn(store.database, day) is not None, "a clock was set back"


@EITHER
def test_who_is_stopped_leaves_the_turn_to_another(request: pytest.FixtureRequest, url: str) -> None:
    url, keep, day = request.getfixturevalue(url), timedelta(days=-1), timedelta(days=1)
    with opened(url) as store:
        fill(store, 3)
        begun = maintenance.prune_in_turn(url, keep, every=day)
        assert next(begun).event_count == 6
        assert list(maintenance.prune_in_turn(url, keep, every=day)) == []
        begun.close()  # type: ignore[attr-defined]
        assert list(maintenance.prune_in_turn(url, keep, every=day))[-1].event_count == 0
        assert list(maintenance.prune_in_turn(url, keep, every=day)) == []


@EITHER
def test_an_instant_that_has_not_come_or_has_no_zone_is_refused(
    request: pytest.FixtureRequest, url: str
) -> None:
    url = request.getfixturevalue(url)
    with opened(url) as store:
        fill(store, 2)
        before = all_events(store)
        for instant, words in (
            (datetime.now(UTC) + timedelta(hours=1), "cannot be pruned yet"),
            (datetime(2020, 1, 1), "no time zone"),  # noqa: DTZ001
        ):
            with pytest.raises(InvalidInputError, match=words):
                list(maintenance.prune(url, instant))
        assert all_events(store) == before


@EITHER
def test_a_trial_removes_nothing_and_tells_what_would_be_removed(
    request: pytest.FixtureRequest, url: str
) -> None:
    url = request.getfixturevalue(url)
    with opened(url) as store:
        fill(store, 3)
        before = all_events(store)
        told = list(maintenance.prune(url, datetime.now(UTC), is_trial=True))[-1]
        assert all_events(store) == before
        done = list(maintenance.prune(url, datetime.now(UTC)))[-1]
        assert (told.event_count, told.partition_count) == (done.event_count, done.partition_count) == (6, 0)
