"""The contract over HTTP: a service on a real port, in front of either database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS
from airflow_provider_partition_registry.store.factory import open_store
from testbed.service import ServiceThread
from tests.contract.contract import RegistryStoreContract
from tests.contract.homes import Home, hours
from tests.contract.sql import sql_home

ADMINISTRATOR_TOKEN = "of-the-administrator"
MANY = 1_000_000


class TestHttpStore(RegistryStoreContract):
    @pytest.fixture
    def home(self, migrated_sqlite_url: str) -> Iterator[Home]:
        settings = ServiceSettings(
            migrated_sqlite_url, administrator_token=ADMINISTRATOR_TOKEN, wrong_tokens_per_minute=MANY
        )
        with (
            sql_home(migrated_sqlite_url) as behind,
            ServiceThread(settings, behind.store) as service,
            open_store(service.url, access_token=ADMINISTRATOR_TOKEN) as store,
        ):
            yield replace(behind, store=store)


def test_more_questions_than_a_request_holds_are_refused_and_not_sent_in_parts() -> None:
    questions = [Question("s", hours(hour, hour + 1)) for hour in range(MOST_QUESTIONS + 1)]
    with (
        open_store("http://127.0.0.1:1") as store,
        pytest.raises(InvalidInputError, match="10,001 questions"),
    ):
        store.check_readiness_many(questions)
