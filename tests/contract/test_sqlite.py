"""The contract in a SQLite file."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home
from tests.contract.sql import emptied, sql_home


@pytest.fixture(scope="session")
def kept(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    file = tmp_path_factory.mktemp("contract") / "registry.db"
    shutil.copy(migrated_sqlite_file, file)
    with sql_home(f"sqlite:///{file}") as home:
        yield home


class TestSqliteStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, kept: Home) -> Home:
        return emptied(kept)


def test_threads_take_turns_to_write_but_do_not_wait_for_ever(migrated_sqlite_url: str) -> None:
    is_writing, may_end = threading.Event(), threading.Event()

    def write(_connection: object) -> None:
        is_writing.set()
        may_end.wait(10)

    with open_sql_store(migrated_sqlite_url, pool_size=2, timeout=0.2) as store:
        writer = threading.Thread(target=store.database.write, args=(write,), daemon=True)
        writer.start()
        assert is_writing.wait(10)
        with pytest.raises(StoreUnavailableError, match="without a pause"):
            store.register_source("s", "ann")
        assert store.list_sources().items == ()
        may_end.set()
        writer.join()
        assert store.register_source("s", "ann").source.name == "s"
