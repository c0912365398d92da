"""The contract in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import sql_home


@pytest.mark.postgres
class TestPostgresStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, postgres_url: str) -> Iterator[Home]:
        with sql_home(postgres_url) as home:
            yield home
