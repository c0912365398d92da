"""The contract over HTTP, where each request is answered by another one of several services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from testbed.balancing import balanced
from testbed.postgres import PostgresServer
from testbed.service import ServiceThread
from tests.conftest import TEMPLATE
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import emptied, sql_home
from tests.contract.test_http import ADMINISTRATOR_TOKEN, MANY, Served

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="session", params=[2, 4], ids=["two", "four"])
def balanced_services(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Served]:
    """Services with one clock, which tests move, in front of one database."""
    url = postgres.create_database(f"behind_{request.param}", TEMPLATE)
    settings = ServiceSettings(url, administrator_token=ADMINISTRATOR_TOKEN, wrong_tokens_per_minute=MANY)
    with sql_home(url) as behind, ExitStack() as stack:
        assert isinstance(behind.store, SqlRegistryStore)
        services = [stack.enter_context(ServiceThread(settings, behind.store)) for _ in range(request.param)]
        balancer = stack.enter_context(balanced([each.url for each in services]))
        yield Served(
            behind, stack.enter_context(open_store(balancer, access_token=ADMINISTRATOR_TOKEN, timeout=60))
        )


class TestBalanced(RegistryStoreContract):
    @pytest.fixture
    def home(self, balanced_services: Served) -> Home:
        return replace(emptied(balanced_services.behind), store=balanced_services.store)
