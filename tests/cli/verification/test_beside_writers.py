"""Verifying and repairing a registry in use, and databases that hold no registry."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import event

from airflow_provider_partition_registry.domain.errors import SchemaMissingError
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import past, repair, verify
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.verification.damage import hours, kinds, tamper


class TestBesideWriters:
    def test_verifying_sees_one_moment(self, store: SqlRegistryStore):
        with writers(store):
            for _ in range(10):
                assert verify(store.database) == []

    def test_nothing_that_comes_after_its_first_look_counts(self, store: SqlRegistryStore, database_url: str):
        tables = ("ready_interval", "length_class", "event", "history")

        def do_damage(_connection, _cursor, statement, *_):
            if "JOIN partition_registry_" in statement:  # not the statements that only look for a registry
                tamper(other, *[f"DELETE FROM {{{table}}}" for table in tables])

        with closing(Database(database_url, pool_size=1, timeout=30)) as other:
            event.listen(store.database.engine, "after_cursor_execute", do_damage)
            assert verify(store.database) == []
            event.remove(store.database.engine, "after_cursor_execute", do_damage)
        counted = set() if store.database.is_sqlite else {"history_gap"}
        assert kinds(store.database) == counted | {
            "ready_interval_missing",
            "length_class_missing",
            "history_counter",
            "partition_history",
        }

    def test_repairing_takes_its_turn(self, store: SqlRegistryStore):
        with writers(store):
            for _ in range(5):
                tamper(store.database, "DELETE FROM {length_class}")
                repair(store.database)
        assert verify(store.database) == []

    def test_writers_do_not_wait_for_a_verification(
        self, store: SqlRegistryStore, monkeypatch: pytest.MonkeyPatch
    ):
        original = past.check_history

        def in_the_midst(connection):
            found = original(connection)
            store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
            return found

        monkeypatch.setattr(past, "check_history", in_the_midst)
        assert verify(store.database) == []
        partition_now = store.get_partition(PartitionKey("sales", "nightly", hours(0, 10)))
        assert partition_now.state is PartitionState.LOCKED

    def test_a_verification_that_fails_leaves_no_transaction_behind(
        self, store: SqlRegistryStore, monkeypatch: pytest.MonkeyPatch
    ):
        def broken(connection):
            raise RuntimeError("unforeseen")

        with monkeypatch.context() as patch:
            patch.setattr(past, "check_history", broken)
            with pytest.raises(RuntimeError):
                verify(store.database)
        store.lock(PartitionKey("sales", "nightly", hours(0, 10)))
        assert verify(store.database) == []


class writers:
    """Two providers' writers that keep locking and publishing while the block runs."""

    def __init__(self, store: SqlRegistryStore) -> None:
        self._store = store
        self._stop = threading.Event()
        self._errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in (100, 120)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._errors == []

    def _write(self, start: int) -> None:
        chance = random.Random(start)
        try:
            while not self._stop.is_set():
                begin = start + chance.randrange(8)
                interval = hours(begin, begin + chance.choice((1, 2, 5)))
                self._store.lock(PartitionKey("sales", "nightly", interval), holder="me", register=True)
                self._store.unlock(PartitionKey("sales", "nightly", interval), holder="me")
        except Exception as error:  # raised in the test's own thread
            self._errors.append(error)


@pytest.mark.parametrize("call", [verify, repair])
@pytest.mark.parametrize("home", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_database_without_a_registry(
    request: pytest.FixtureRequest, home: str, call: Callable[[Database], object]
):
    is_postgres = home == "postgres"
    url = (
        request.getfixturevalue("new_postgres_url")(None)
        if is_postgres
        else request.getfixturevalue("sqlite_url")
    )
    with closing(Database(url, pool_size=1, timeout=10)) as database, pytest.raises(SchemaMissingError):
        call(database)
