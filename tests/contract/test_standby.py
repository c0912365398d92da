"""A real standby answers only where it is proven to be recent enough: in step, lagging, cut off, frozen, promoted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from sqlalchemy import event

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    StoreUnavailableError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.questions import GREATEST_AGE, Question
from airflow_provider_partition_registry.store import host_clock
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from testbed.pgbouncer import pgbouncer
from testbed.processes import wait_until
from tests.conftest import upgrade
from tests.contract.homes import MIDNIGHT
from tests.contract.standbys import KEY, Pair, Registry, ask_until_locked, in_step_with, lock, pair, registry
from tests.contract.test_pgbouncer import POOLING, behind

pytestmark = pytest.mark.postgres
OWN = "read_in_step"


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    """For tests that leave both servers as they are."""
    with pair() as servers:
        yield servers


@pytest.fixture
def in_step(servers: Pair) -> Iterator[Registry]:
    """A registry of the test's own, whose standby answers."""
    with in_step_with(servers, OWN) as opened:
        yield opened


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are sent to a database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


class TestInStep:
    def test_the_primary_is_not_asked(self, in_step: Registry) -> None:
        with counted(in_step.store.database) as sent:
            for _ in range(100):
                assert in_step.ask(GREATEST_AGE).is_ready
        assert in_step.answered_by[-100:] == ["standby"] * 100
        assert sent == []

    def test_who_accepts_no_age_is_answered_by_the_primary(self, servers: Pair, in_step: Registry) -> None:
        with servers.replay_paused():
            in_step.store.lock(KEY)
            in_step.answered_by.clear()
            assert not in_step.store.check_readiness("s", KEY.interval).is_ready
            assert not in_step.ask(0).is_ready
        assert in_step.answered_by == []

    def test_what_the_present_decides_is_asked_of_the_primary(self, servers: Pair, in_step: Registry) -> None:
        reader = in_step.store.with_max_age(GREATEST_AGE)
        before = reader.check_readiness("s", KEY.interval)
        with servers.replay_paused():
            in_step.store.lock(KEY)
            token = in_step.store.register_source("new", "ann").access_token
            in_step.answered_by.clear()
            assert reader.changed_since("s", KEY.interval, before.as_of)
            known = reader.identify_token(token)
            assert known.principal.name == "new"
            assert reader.get_token(known.id) == known
            assert reader.list_tokens(known.principal).items == (known,)
            assert reader.last_position() > before.as_of
            assert reader.events(before.as_of).items != ()
            fresh, plain = reader.check_readiness_many(
                [Question("s", KEY.interval, MIDNIGHT), Question("s", KEY.interval)]
            )
            assert not fresh.is_ready
            assert not plain.is_ready
        assert in_step.answered_by == []

    def test_heartbeats_are_few(self, in_step: Registry) -> None:
        """However much is asked; and they leave one row."""
        for _ in range(200):
            in_step.ask(GREATEST_AGE)
        rows = in_step.store.database.read(
            lambda each: each.exec_driver_sql("SELECT number FROM partition_registry_heartbeat").all()
        )
        assert rows == [(1,)]

    def test_rows_of_processes_that_are_gone_are_removed(self, servers: Pair, in_step: Registry) -> None:
        in_step.store.database.read(
            lambda each: each.exec_driver_sql(
                "INSERT INTO partition_registry_heartbeat VALUES ('long gone', 7, 0) RETURNING 1"
            ).all()
        )
        with registry_again(in_step, servers) as another:
            another.wait_until_answered_by("standby")
        rows = in_step.store.database.read(
            lambda each: each.exec_driver_sql("SELECT process FROM partition_registry_heartbeat").all()
        )
        assert len(rows) == 2
        assert ("long gone",) not in rows

    def test_an_unknown_source_is_an_answer(self, in_step: Registry) -> None:
        with pytest.raises(UnknownSourceError):
            in_step.store.with_max_age(GREATEST_AGE).get_overview("nowhere")
        assert in_step.answered_by[-1] == "standby"

    def test_time_that_the_host_slept_counts(
        self, in_step: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The clock of the processor stands still meanwhile."""
        assert host_clock._CLOCK == time.CLOCK_BOOTTIME
        now = host_clock.now
        monkeypatch.setattr(host_clock, "now", lambda: now() + GREATEST_AGE + 1)
        in_step.ask(GREATEST_AGE)
        assert in_step.answered_by[-1] == "primary"

    def test_a_fork_sends_heartbeats_of_its_own(self, in_step: Registry) -> None:
        child = os.fork()
        if child == 0:
            try:
                in_step.wait_until_answered_by("standby")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        in_step.wait_until_answered_by("standby")
        rows = in_step.store.database.read(
            lambda each: each.exec_driver_sql("SELECT count(*) FROM partition_registry_heartbeat").scalar()
        )
        assert rows == 2

    def test_behind_a_pooler(self, servers: Pair, in_step: Registry) -> None:
        with (
            pgbouncer(servers.standby.port, POOLING) as port,
            registry_again(in_step, servers, behind(port, servers.standby.url(OWN))) as pooled,
        ):
            pooled.wait_until_answered_by("standby")
            with servers.replay_paused():
                ask_until_locked(pooled, lock(pooled), max_age=1)
                assert pooled.answered_by[-1] == "primary"


@contextmanager
def registry_again(opened: Registry, servers: Pair, standby_url: str | None = None) -> Iterator[Registry]:
    """The same registry, opened once more."""
    answered_by: list[str] = []
    with SqlRegistryStore(Database(servers.primary.url(OWN), pool_size=4, timeout=10)) as store:
        standby = Database(standby_url or servers.standby.url(OWN), pool_size=4, timeout=2, is_standby=True)
        store.add_standby(standby, answered_by.append)
        yield Registry(store, answered_by)


class TestLagging:
    def test_a_lock_is_seen_when_the_age_is_over(self, servers: Pair, in_step: Registry) -> None:
        in_step.wait_until_answered_by("standby", max_age=1)
        with servers.replay_paused():
            ask_until_locked(in_step, lock(in_step), max_age=1)
            assert in_step.answered_by[-1] == "primary"
            # Who accepts more is still told what was so then.
            assert in_step.ask(GREATEST_AGE).is_ready
        wait_until(lambda: not in_step.ask(GREATEST_AGE).is_ready, what="the standby", timeout=60)
        assert in_step.answered_by[-1] == "standby"

    def test_without_the_primary_the_age_still_holds(self, servers: Pair, in_step: Registry) -> None:
        """Who accepts it is answered while the primary is down, and everybody else is told why not."""
        servers.primary.kill()
        try:
            assert in_step.ask(GREATEST_AGE).is_ready
            assert in_step.answered_by[-1] == "standby"
            refused: list[str] = []

            def is_refused() -> bool:
                try:
                    assert in_step.ask(1).is_ready
                except StoreUnavailableError as error:
                    refused.append(error.message)
                return bool(refused)

            wait_until(is_refused, what="the age", timeout=30)
            assert "does not respond" in refused[0]
            assert "Its standby may not answer in its place: " in refused[0]
        finally:
            servers.primary.start()
        ask_until_locked(in_step, lock(in_step), max_age=2)
        in_step.wait_until_answered_by("standby", max_age=2)

    def test_a_frozen_standby_costs_one_time_out(
        self, servers: Pair, in_step: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        with servers.standby.paused():
            assert in_step.ask(GREATEST_AGE).is_ready
            assert in_step.answered_by[-1] == "primary"
            standby = in_step.store._standby
            assert standby is not None
            tried = [record.message for record in caplog.records]
            assert len([each for each in tried if "does not answer; the primary is asked" in each]) == 1
            with counted(standby.database) as sent:
                assert in_step.ask(GREATEST_AGE).is_ready
            assert sent == []
        in_step.wait_until_answered_by("standby")
        assert "answers again" in caplog.records[-1].message

    def test_a_standby_that_is_down(self, servers: Pair, in_step: Registry) -> None:
        servers.standby.kill()
        try:
            in_step.store.lock(KEY)
            assert not in_step.ask(GREATEST_AGE).is_ready
        finally:
            servers.standby.start()
        in_step.wait_until_answered_by("standby")

    def test_whoever_cancels_its_queries(self, servers: Pair, in_step: Registry) -> None:
        """As a conflict with what is to be replayed does."""
        stop = threading.Event()

        def terminate() -> None:
            while not stop.is_set():
                servers.standby.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE datname = '{OWN}' AND application_name = 'partition-registry'"
                )

        thread = threading.Thread(target=terminate)
        thread.start()
        try:
            for _ in range(50):
                assert in_step.ask(GREATEST_AGE).is_ready
        finally:
            stop.set()
            thread.join()
        in_step.wait_until_answered_by("standby")


class TestWrongServers:
    """None of them is believed, and the registry works as without it."""

    def assert_not_believed(self, opened: Registry) -> None:
        for max_age in (1, GREATEST_AGE):
            for _ in range(10):
                assert opened.ask(max_age).is_ready
        opened.store.lock(KEY)
        assert not opened.ask(GREATEST_AGE).is_ready
        asking = "SELECT 1 FROM partition_registry_heartbeat"
        wait_until(
            lambda: opened.store.database.read(lambda each: each.exec_driver_sql(asking).all()),
            what="a heartbeat",
            timeout=30,
        )
        for _ in range(10):
            assert not opened.ask(GREATEST_AGE).is_ready
        assert set(opened.answered_by) == {"primary"}

    def test_the_primary_itself(self, servers: Pair, in_step: Registry) -> None:
        with registry_again(in_step, servers, servers.primary.url(OWN)) as opened:
            self.assert_not_believed(opened)

    def test_the_primary_itself_as_any_server(self, servers: Pair, in_step: Registry) -> None:
        url = f"{servers.primary.url(OWN)}?target_session_attrs=any"
        with registry_again(in_step, servers, url) as opened:
            self.assert_not_believed(opened)

    def test_another_registry_of_the_same_servers(self, servers: Pair, in_step: Registry) -> None:
        upgrade(servers.primary.create_database("neighbour"))
        servers.wait_until_replayed()
        with registry_again(in_step, servers, servers.standby.url("neighbour")) as opened:
            self.assert_not_believed(opened)
        servers.primary.drop_database("neighbour")

    def test_a_database_without_a_registry(self, servers: Pair, in_step: Registry) -> None:
        with registry_again(in_step, servers, servers.standby.url("postgres")) as opened:
            self.assert_not_believed(opened)

    def test_nobody_there(self, servers: Pair, in_step: Registry) -> None:
        with registry_again(in_step, servers, "postgresql://postgres@127.0.0.1:1/nothing") as opened:
            self.assert_not_believed(opened)

    def test_it_is_told_after_a_while(
        self,
        servers: Pair,
        in_step: Registry,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(
            "airflow_provider_partition_registry.store.sql.standby.standby.FIRST_ARRIVES_WITHIN", 0.0
        )
        upgrade(servers.primary.create_database("neighbour"))
        servers.wait_until_replayed()
        with registry_again(in_step, servers, servers.standby.url("neighbour")) as opened:
            self.assert_not_believed(opened)
        servers.primary.drop_database("neighbour")
        assert "far behind, or follows another server" in caplog.text

    def test_one_whose_tables_are_older(self, servers: Pair) -> None:
        """The migration has not been replayed yet."""
        url = servers.primary.create_database("older")
        database = Database(url, pool_size=1, timeout=30)
        database.write(
            lambda connection: command.upgrade(
                revisions.alembic_config(connection, database), revisions.REVISIONS[-2]
            )
        )
        database.close()
        with servers.replay_paused(), registry(url, servers.standby.url("older")) as opened:
            self.assert_not_believed(opened)
        servers.primary.drop_database("older")

    @pytest.mark.parametrize(
        ("url", "standby_url"),
        [
            ("sqlite:////tmp/registry.db", "postgresql://h/d"),
            ("postgresql://h/d", "sqlite:////tmp/registry.db"),
            ("postgresql://h/d", "https://h"),
            ("postgresql://h/d", ""),
            ("https://h", "postgresql://h/d"),
            ("https://h", "https://h"),
        ],
    )
    def test_what_can_be_no_standby(self, url: str, standby_url: str) -> None:
        with pytest.raises(InvalidInputError, match="Only a registry in PostgreSQL has a standby"):
            open_store(url, standby_url=standby_url)

    @pytest.mark.parametrize("age", [-1, 1.5, GREATEST_AGE + 1, True, "5", None])
    def test_what_is_no_age(self, age: Any, database_url: str) -> None:
        with (
            open_store(database_url) as store,
            pytest.raises(InvalidInputError, match="whole number of seconds"),
        ):
            store.with_max_age(age)

    def test_without_a_standby_everybody_is_answered(self, database_url: str) -> None:
        with open_store(database_url) as store:
            store.register_source("s", "ann")
            assert store.with_max_age(5).get_source("s").owner == "ann"
