"""Statements that a PostgreSQL connection has prepared, also if the server no longer knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.sql.database.message import PREPARE_AFTER
from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore, open_sql_store
from tests.contract.homes import hours

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlRegistryStore]:
    """A registry with one connection; ``[0, 1)`` of ``s`` is ready and ``[1, 2)`` is registered."""
    with open_sql_store(postgres_url, pool_size=1, timeout=30) as opened:
        opened.register_provider("p", opened.register_source("s", "ann").access_token)
        opened.register_partition(PartitionKey("s", "p", hours(0, 1)))
        opened.unlock(PartitionKey("s", "p", hours(0, 1)))
        opened.register_partition(PartitionKey("s", "p", hours(1, 2)))
        yield opened


@pytest.fixture
def sent(store: SqlRegistryStore) -> list[str]:
    """The first words of all statements sent from here on."""
    words: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        words.append(statement.split(maxsplit=1)[0])

    event.listen(store.database.engine, "before_cursor_execute", note)
    return words


def forget(store: SqlRegistryStore) -> None:
    """Forget prepared statements, as if a pooler had switched to another connection of the server."""
    store.database.read(lambda connection: connection.exec_driver_sql("DEALLOCATE ALL"))


def answers(store: SqlRegistryStore) -> tuple[bool, bool]:
    return (
        store.check_readiness("s", hours(0, 1)).is_ready,
        store.check_readiness("s", hours(0, 2)).is_ready,
    )


def test_what_is_asked_often_is_prepared_once(store: SqlRegistryStore, sent: list[str]) -> None:
    for _ in range(PREPARE_AFTER + 3):
        assert answers(store) == (True, False)
    assert sent.count("PREPARE") == 2  # the probe and the explanation
    assert sent.count("EXECUTE") > 4


def test_many_questions_are_prepared_once_however_many_they_are(
    store: SqlRegistryStore, sent: list[str]
) -> None:
    for count in range(2, PREPARE_AFTER + 5):
        answers = store.check_readiness_many([Question("s", hours(n, n + 1)) for n in range(count)])
        assert [answer.is_ready for answer in answers] == [True] + [False] * (count - 1)
    # The probe, and the explanation: first for one question, then for several.
    assert sent.count("PREPARE") == 2


def test_a_statement_that_runs_once_is_not_prepared(store: SqlRegistryStore, sent: list[str]) -> None:
    assert answers(store) == (True, False)
    assert not {"PREPARE", "EXECUTE"} & set(sent)


def test_reading_goes_on_when_the_server_has_forgotten(store: SqlRegistryStore, sent: list[str]) -> None:
    for _ in range(PREPARE_AFTER + 1):
        answers(store)
    forget(store)
    assert answers(store) == (True, False)
    sent.clear()
    for _ in range(PREPARE_AFTER + 3):
        assert answers(store) == (True, False)
    assert not {"PREPARE", "EXECUTE"} & set(sent)  # this connection prepares nothing any more


def test_writing_goes_on_when_the_server_has_forgotten(store: SqlRegistryStore) -> None:
    for _ in range(PREPARE_AFTER + 1):
        store.lock(PartitionKey("s", "p", hours(1, 2)))
    forget(store)
    generation = store.lock(PartitionKey("s", "p", hours(1, 2))).generation
    assert generation == PREPARE_AFTER + 2  # granted once, though tried twice
    store.unlock(PartitionKey("s", "p", hours(1, 2)), generation=generation)
    assert store.check_readiness("s", hours(0, 2)).is_ready


def test_a_statement_that_somebody_else_prepared_on_this_connection(store: SqlRegistryStore) -> None:
    for _ in range(PREPARE_AFTER + 1):
        answers(store)
    with store.database.engine.connect() as connection:
        connection.info.clear()  # as if another client behind a pooler had prepared it
    for _ in range(PREPARE_AFTER + 3):
        assert answers(store) == (True, False)
