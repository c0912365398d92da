"""A standby that was promoted, that follows another primary, that takes over for good, or that is cut off."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.questions import GREATEST_AGE
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from testbed.postgres import PostgresServer
from testbed.processes import wait_until
from testbed.standby import copy_of, serving
from tests.conftest import upgrade
from tests.contract.standbys import KEY, Pair, ask_until_locked, lock, pair, registry

pytestmark = pytest.mark.postgres


def copied_twice() -> PostgresServer:
    """A server whose standby can be copied as well."""
    return PostgresServer(durable=False, options={"full_page_writes": "on"})


class TestTakenOver:
    """Whoever has taken over, and whoever follows it, is never believed by who goes on with the old primary."""

    def test_a_standby_that_was_promoted(self) -> None:
        with pair() as servers:
            upgrade(servers.primary.url())
            servers.wait_until_replayed()
            with registry(servers.primary.url(), servers.standby.url()) as opened:
                opened.wait_until_answered_by("standby")
                opened.store.lock(KEY)
                wait_until(lambda: not opened.ask(GREATEST_AGE).is_ready, what="the standby", timeout=60)
                servers.standby.execute("SELECT pg_promote()")
                with SqlRegistryStore(Database(servers.standby.url(), pool_size=1, timeout=10)) as other:
                    other.unlock(KEY)  # the same writer, sent to the wrong server
                    assert other.check_readiness("s", KEY.interval).is_ready
                opened.answered_by.clear()
                for max_age in (1, GREATEST_AGE) * 20:
                    assert not opened.ask(max_age).is_ready
                assert set(opened.answered_by) == {"primary"}

    def test_a_standby_that_follows_another_primary_now(self) -> None:
        """It still shows a heartbeat, and has replayed more than the old primary has written."""
        with ExitStack() as stack:
            primary = stack.enter_context(copied_twice())
            between = stack.enter_context(serving(copy_of(primary)))
            last = stack.enter_context(serving(copy_of(between)))
            servers = Pair(primary, last)
            upgrade(primary.url())
            servers.wait_until_replayed()
            with registry(primary.url(), last.url()) as opened:
                opened.wait_until_answered_by("standby")
                opened.store.lock(KEY)
                wait_until(lambda: not opened.ask(GREATEST_AGE).is_ready, what="the standby", timeout=60)
                between.execute("SELECT pg_promote()")
                with SqlRegistryStore(Database(between.url(), pool_size=1, timeout=10)) as other:
                    other.unlock(KEY)
                    assert other.check_readiness("s", KEY.interval).is_ready
                Pair(between, last).wait_until_replayed()
                seen = last.execute("SELECT count(*) FROM partition_registry_ready_interval")
                assert seen == [(1,)]
                opened.answered_by.clear()
                for max_age in (1, GREATEST_AGE) * 20:
                    assert not opened.ask(max_age).is_ready
                assert set(opened.answered_by) == {"primary"}

    def test_a_standby_that_takes_over_for_good(self) -> None:
        """A process that runs on finds the new primary at the old address, and its standby at its own."""
        with ExitStack() as stack:
            primary = stack.enter_context(copied_twice())
            folder = copy_of(primary)
            with serving(folder) as between:
                last = stack.enter_context(serving(copy_of(between)))
                upgrade(primary.url())
                Pair(primary, last).wait_until_replayed()
                opened = stack.enter_context(registry(primary.url(), last.url(), timeout=30))
                opened.wait_until_answered_by("standby", max_age=2)
                kept = opened.store.last_position()
                Pair(primary, last).wait_until_replayed()
                address = between.port
            # What is acknowledged from here on is lost, as nobody has a copy of it.
            opened.store.lock(KEY)
            primary.kill()
            new = stack.enter_context(serving(folder, primary.port))
            new.execute("SELECT pg_promote()")
            last.execute(f"ALTER SYSTEM SET primary_conninfo = '{new.url()}'")
            last.execute("SELECT pg_reload_conf()")
            assert address != new.port
            assert opened.store.check_readiness("s", KEY.interval).as_of == kept
            opened.store.lock(KEY)
            wait_until(
                lambda: not opened.ask(2).is_ready and opened.answered_by[-1] == "standby",
                what="the standby of the new primary",
                timeout=60,
            )

    def test_a_standby_that_is_cut_off(self) -> None:
        with pair() as servers:
            upgrade(servers.primary.url())
            servers.wait_until_replayed()
            with registry(servers.primary.url(), servers.standby.url()) as opened:
                opened.wait_until_answered_by("standby", max_age=2)
                servers.standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
                servers.standby.execute("SELECT pg_reload_conf()")
                wait_until(
                    lambda: servers.standby.execute("SELECT * FROM pg_stat_wal_receiver") == [],
                    what="the end of the streaming",
                    timeout=60,
                )
                locked_at = lock(opened)
                ask_until_locked(opened, locked_at, max_age=1)
                servers.primary.kill()

                def is_refused() -> bool:
                    try:
                        opened.ask(1)
                    except StoreUnavailableError:
                        return True
                    return False

                assert is_refused()
                servers.primary.start()
                servers.standby.execute(f"ALTER SYSTEM SET primary_conninfo = '{servers.primary.url()}'")
                servers.standby.execute("SELECT pg_reload_conf()")
                opened.wait_until_answered_by("standby", max_age=2)
                ask_until_locked(opened, locked_at, max_age=2)
