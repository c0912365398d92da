"""What PostgreSQL adds to the contract: notifications of changes, and one clock for all hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.sql import querying
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from tests.contract.homes import hours

pytestmark = pytest.mark.postgres

HOUR = PartitionKey("s", "p", hours(0, 1))
WHY: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}


@pytest.fixture
def store(postgres_url: str) -> Iterator[RegistryStore]:
    with open_store(postgres_url, timeout=30) as opened:
        opened.register_provider("p", opened.register_source("s", "ann").access_token)
        opened.register_partition(HOUR)
        yield opened


WAKING: dict[str, tuple[bool, Callable[[RegistryStore], object]]] = {
    "unlock": (True, lambda store: store.unlock(HOUR)),
    "fail": (True, lambda store: store.fail(HOUR, reason="disk full")),
    "release": (True, lambda store: store.release(HOUR)),
    "force_release": (True, lambda store: store.force_release(HOUR, **WHY)),
    "withdraw": (True, lambda store: store.withdraw(HOUR, **WHY)),
    "invalidate": (False, lambda store: store.invalidate(HOUR, **WHY)),
}


@pytest.mark.parametrize("name", WAKING)
def test_changes_that_may_end_a_wait_are_notified(store: RegistryStore, name: str) -> None:
    is_locked, change = WAKING[name]
    store.lock(HOUR)
    if not is_locked:
        store.unlock(HOUR)
    with closing(store.open_listener()) as listener:
        change(store)
        assert listener.wait(10) == {"s"}


def test_changes_that_cannot_end_a_wait_are_not_notified(store: RegistryStore) -> None:
    with closing(store.open_listener()) as listener:
        generation = store.lock(HOUR, lease=timedelta(hours=1)).generation
        store.renew(HOUR, generation=generation, lease=timedelta(hours=2))
        assert listener.wait(0.3) is None


def test_readers_use_the_databases_clock(store: RegistryStore, postgres_url: str) -> None:
    def ahead() -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)

    with open_sql_store(postgres_url, pool_size=1, timeout=30, clock=ahead) as hasty:
        published_at = hasty.unlock(HOUR).published_at
    hours_ago = published_at - timedelta(hours=3)
    assert store.check_readiness("s", hours(0, 1), hours_ago).stale == (hours(0, 1),)
    rewritten_at = store.unlock(HOUR, generation=store.lock(HOUR).generation).published_at
    assert rewritten_at < published_at
    assert store.check_readiness("s", hours(0, 1), rewritten_at).is_ready


def test_this_hosts_clock_is_never_read(store: RegistryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoClock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Any:
            raise AssertionError("the host's clock was read")

    monkeypatch.setattr(querying, "datetime", NoClock)
    locked = store.lock(HOUR, lease=timedelta(hours=1))
    assert locked.lock is not None
    assert not store.check_readiness("s", hours(0, 1))
    assert store.unlock(HOUR, generation=locked.generation).published_at is not None
