"""The network loses a connection inside a transaction: only work that was certainly rolled back is repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from testbed.postgres import PostgresServer
from testbed.proxy import LosingProxy
from tests.contract.homes import all_events, hours
from tests.races.conftest import register
from tests.races.replay import assert_consistent

pytestmark = pytest.mark.postgres
PLACE = PartitionKey("s", "p0", hours(0, 1))
COMMIT = b"COMMIT\0"  # does not match BEGIN ISOLATION LEVEL READ COMMITTED


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[LosingProxy]:
    with LosingProxy(postgres.port) as proxy:
        yield proxy


@pytest.fixture
def store(postgres_url: str) -> Iterator[Any]:
    """A store that does not go through the proxy."""
    with open_store(postgres_url, timeout=30) as store:
        register(store, "s", 1)
        store.register_partition(PLACE)
        yield store


@pytest.fixture
def far_store(postgres_url: str, postgres: PostgresServer, proxy: LosingProxy, store: Any) -> Iterator[Any]:
    """A store of the same registry through the proxy, connected."""
    with open_store(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"), timeout=30) as far_store:
        far_store.get_source("s")
        yield far_store


def locks(store: Any) -> list[int]:
    return [event.generation for event in all_events(store) if event.type == "LOCK"]


@pytest.mark.parametrize("is_committed", [True, False], ids=["answer lost", "commit lost"])
@pytest.mark.parametrize("mark", [COMMIT, b"INSERT INTO partition_registry_event"])
def test_a_commit_of_unknown_outcome_is_told_and_not_repeated(
    store: Any, far_store: Any, proxy: LosingProxy, mark: bytes, is_committed: bool
) -> None:
    """The commit travels with the last event."""
    proxy.lose(mark, after_delivery=is_committed)
    with pytest.raises(StoreUnavailableError, match="may or may not have taken effect"):
        far_store.lock(PLACE, holder="me")
    assert locks(store) == [1] * is_committed
    # What the message advises is safe, and the caller's next connection works.
    assert far_store.lock(PLACE, holder="me").generation == 1 + is_committed
    assert_consistent(store)


@pytest.mark.parametrize("is_delivered", [True, False], ids=["answer lost", "statement lost"])
@pytest.mark.parametrize("mark", [b"BEGIN", b"FOR NO KEY UPDATE"])
def test_a_write_that_was_lost_before_its_commit_is_repeated(
    store: Any, far_store: Any, proxy: LosingProxy, mark: bytes, is_delivered: bool
) -> None:
    proxy.lose(mark, after_delivery=is_delivered)
    assert far_store.lock(PLACE, holder="me").generation == 1
    assert not proxy.is_armed
    assert locks(store) == [1]
    assert_consistent(store)


def test_a_read_whose_answer_was_lost_is_repeated(far_store: Any, proxy: LosingProxy) -> None:
    proxy.lose(b"SELECT", after_delivery=True)
    assert far_store.get_source("s").owner == "ann"
    assert not proxy.is_armed


def test_a_new_connection_whose_first_query_waits_is_given_up_in_time(
    postgres_url: str, postgres: PostgresServer, proxy: LosingProxy
) -> None:
    proxy.swallow(b"Q\0\0")  # the beginning of any query
    with open_store(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/"), timeout=1) as far_store:
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="does not respond"):
            far_store.get_source("s")
        assert time.monotonic() - began < 30  # a pooler would let it wait for minutes
