"""The contract in a PostgreSQL database behind PgBouncer, which gives every transaction another session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from airflow_provider_partition_registry.domain.errors import PartitionLockedError, StoreUnavailableError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.maintenance.verification import verify
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from testbed.pgbouncer import pgbouncer
from testbed.postgres import PostgresServer
from tests.conftest import TEMPLATE
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home, hours
from tests.contract.sql import emptied, sql_home
from tests.contract.test_migrating_beside import filled, lane_is_valid

SESSIONS = 3
# Every transaction gets another of few sessions.
POOLING = f"pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = {SESSIONS}\ndefault_pool_size = {SESSIONS}"

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="session")
def pgbouncer_port(postgres: PostgresServer) -> Iterator[int]:
    with pgbouncer(postgres.port, POOLING) as port:
        yield port


def behind(port: int, url: str) -> str:
    """The same database as a client of PgBouncer names it."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def kept(postgres: PostgresServer, pgbouncer_port: int) -> Iterator[Home]:
    url = behind(pgbouncer_port, postgres.create_database("behind_pgbouncer", TEMPLATE))
    with sql_home(url) as home:
        yield home


class TestBehindPgbouncer(RegistryStoreContract):
    @pytest.fixture
    def home(self, kept: Home) -> Home:
        return emptied(kept)


@contextmanager
def opened(url: str, timeout: float = 10) -> Iterator[SqlRegistryStore]:
    with open_sql_store(url, pool_size=8, timeout=timeout) as store:
        token = store.register_source("s", "ann").access_token
        for number in range(8):
            store.register_provider(f"p{number}", token)
        yield store


@pytest.fixture
def url(pgbouncer_port: int, postgres_url: str) -> str:
    return behind(pgbouncer_port, postgres_url)


def test_a_registry_is_upgraded_and_its_index_built(
    new_postgres_url: Callable[..., str], pgbouncer_port: int
) -> None:
    url = behind(pgbouncer_port, new_postgres_url(template=None))
    with closing(Database(url, pool_size=1, timeout=30)) as database:
        filled(database, "0002")
        assert lane_is_valid(database) is None
        revisions.upgrade(database)
        assert lane_is_valid(database)
        assert verify(database) == []


def test_an_empty_database_can_be_made_a_registry(
    pgbouncer_port: int, new_postgres_url: Callable[..., str]
) -> None:
    with open_sql_store(behind(pgbouncer_port, new_postgres_url(None)), pool_size=1, timeout=10) as store:
        revisions.upgrade(store.database)
        store.register_source("s", "ann")
        assert verify(store.database) == []


def test_statements_run_under_our_settings_and_nobody_elses_do(url: str) -> None:
    """Whatever session they get: others of the same account share them."""
    shown = "SELECT current_setting('statement_timeout'), current_setting('enable_seqscan')"
    with opened(url) as store:
        for _ in range(2 * SESSIONS):
            assert store.database.read(lambda each: each.exec_driver_sql(shown).first()) == ("10s", "off")
            assert store.database.write(lambda each: each.exec_driver_sql(shown).first()) == ("10s", "off")
            assert store.database.snapshot(lambda each: each.exec_driver_sql(shown).first()) == ("10s", "off")
            with closing(psycopg2.connect(url)) as other, other, other.cursor() as cursor:
                cursor.execute(shown)
                assert cursor.fetchone() == ("0", "on")


def test_a_writer_that_hangs_holds_up_others_for_the_time_out_only(url: str) -> None:
    with opened(url, timeout=1) as store, store.database.engine.connect() as hanging:
        hanging.exec_driver_sql("BEGIN")
        hanging.exec_driver_sql("SELECT 1 FROM partition_registry_source FOR UPDATE")
        begin = time.monotonic()
        while True:
            try:
                store.lock(PartitionKey("s", "p0", hours(0, 1)), register=True)
                break
            except StoreUnavailableError:
                assert time.monotonic() - begin < 30
        hanging.invalidate()


def test_nothing_is_missed_without_notifications(url: str) -> None:
    with opened(url) as store:
        assert store.open_listener() is None


def test_many_writers_share_few_sessions(url: str) -> None:
    """Each partition has one winner, whichever sessions its writers' transactions get."""
    with opened(url) as store:

        def write(number: int) -> int:
            won = 0
            for hour in range(40):
                key = PartitionKey("s", "p0", hours(hour, hour + 1))
                try:
                    store.lock(key, holder=f"holder-{number}", register=True)
                except PartitionLockedError:
                    continue
                won += 1
            return won

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(write, range(8))) == 40
        assert verify(store.database) == []
