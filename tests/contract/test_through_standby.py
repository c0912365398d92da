"""The contract in a PostgreSQL database whose standby, once it has caught up, answers whatever it may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from airflow_provider_partition_registry.domain.questions import GREATEST_AGE
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from testbed.processes import wait_until
from tests.conftest import upgrade
from tests.contract import sql
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import emptied, sql_home
from tests.contract.standbys import CaughtUpStore, pair

pytestmark = pytest.mark.postgres

FIRST_ARRIVES_WITHIN = 60  # seconds: in the midst of a call the standby catches up


@pytest.fixture(scope="session")
def kept() -> Iterator[tuple[Home, list[str]]]:
    answered_by: list[str] = []
    with pair() as servers:
        url = upgrade(servers.primary.create_database("read_elsewhere"))
        servers.wait_until_replayed()
        with sql_home(url, timeout=FIRST_ARRIVES_WITHIN) as home:
            assert isinstance(home.store, SqlRegistryStore)
            database, standby_url = home.store.database, servers.standby.url("read_elsewhere")
            standby = Database(standby_url, pool_size=2, timeout=FIRST_ARRIVES_WITHIN, is_standby=True)
            home.store.add_standby(standby, answered_by.append)
            home.store.notice_restoration()
            reader = home.store.with_max_age(GREATEST_AGE)
            wait_until(lambda: _is_answered(reader, answered_by), what="the standby", timeout=60)
            watched = Database(standby_url, pool_size=2, timeout=FIRST_ARRIVES_WITHIN, is_standby=True)

            @contextmanager
            def interrupted(happen: Callable[[], None]) -> Iterator[None]:
                def happen_on_both() -> None:
                    happen()
                    servers.wait_until_replayed()

                with sql.interrupted(standby, happen_on_both), sql.interrupted(database, happen):
                    yield

            store = CaughtUpStore(database, home.clock, watched, reader)
            yield replace(home, store=store, interrupted=interrupted), answered_by


def _is_answered(reader: RegistryReader, answered_by: list[str]) -> bool:
    reader.list_sources()
    return answered_by[-1] == "standby"


class TestThroughStandby(RegistryStoreContract):
    @pytest.fixture
    def home(self, kept: tuple[Home, list[str]]) -> Iterator[Home]:
        home, answered_by = kept
        answered_by.clear()
        emptied(home)
        assert isinstance(home.store, SqlRegistryStore)
        home.store.notice_restoration()  # Else its first writer would, and the heartbeats before it name no home.
        yield home
        assert "primary" not in answered_by
