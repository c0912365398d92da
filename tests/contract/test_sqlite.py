"""The contract in a SQLite file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import sql_home


class TestSqliteStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, migrated_sqlite_url: str) -> Iterator[Home]:
        with sql_home(migrated_sqlite_url) as home:
            yield home
