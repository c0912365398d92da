"""The contract over HTTP: a service on a real port, in front of each database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS, RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from testbed.service import ServiceThread
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home, hours
from tests.contract.sql import emptied, sql_home

ADMINISTRATOR_TOKEN = "of-the-administrator"
MANY = 1_000_000


class Served(NamedTuple):
    """A service's registry, and the store that calls the service."""

    behind: Home
    store: RegistryStore


@pytest.fixture(scope="session")
def served(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all tests. Their calls leave no trace in it outside the registry: no wrong token is counted, and
    nobody follows the events.
    """
    url = (
        f"sqlite:///{shutil.copy(migrated_sqlite_file, tmp_path_factory.mktemp('contract') / 'registry.db')}"
    )
    settings = ServiceSettings(url, administrator_token=ADMINISTRATOR_TOKEN, wrong_tokens_per_minute=MANY)
    with sql_home(url) as behind:
        assert isinstance(behind.store, SqlRegistryStore)
        with (
            ServiceThread(settings, behind.store) as service,
            open_store(service.url, access_token=ADMINISTRATOR_TOKEN, timeout=60) as store,
        ):
            yield Served(behind, store)


class TestHttpStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, served: Served) -> Home:
        return replace(emptied(served.behind), store=served.store)


def test_more_questions_than_a_request_holds_are_refused_and_not_sent_in_parts() -> None:
    questions = [Question("s", hours(hour, hour + 1)) for hour in range(MOST_QUESTIONS + 1)]
    with (
        open_store("http://127.0.0.1:1") as store,
        pytest.raises(InvalidInputError, match="10,001 questions"),
    ):
        store.check_readiness_many(questions)
