"""The contract in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.postgres import PostgresServer
from tests.conftest import TEMPLATE
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import emptied, sql_home


@pytest.fixture(scope="session")
def kept(postgres: PostgresServer) -> Iterator[Home]:
    with sql_home(postgres.create_database("contract", TEMPLATE)) as home:
        yield home


@pytest.mark.postgres
class TestPostgresStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, kept: Home) -> Home:
        return emptied(kept)
