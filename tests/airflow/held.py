"""What happens to a lock that a task holds, and what tests look at meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.processes import wait_until
from tests.airflow.registries import THE_DAY, the_partition

TIMEOUT = 120.0  # seconds until a test gives up on what it awaits


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what=what, timeout=TIMEOUT, interval=0.02)


def renewals(registry: RegistryStore) -> int:
    events = registry.events(source_name="sales").items
    return sum(event.type is EventType.RENEW for event in events)


def is_expired(registry: RegistryStore) -> bool:
    return the_partition(registry).state is PartitionState.EXPIRED


def take_away(registry: RegistryStore) -> None:
    """Do as a person who thinks that the task hangs; then somebody else writes."""
    registry.force_release(PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator")
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")


def take_over(registry: RegistryStore) -> None:
    """Let somebody else write when the lease is over."""
    until(lambda: is_expired(registry), "the lease to be over")
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")


def check_untouched(registry: RegistryStore) -> None:
    """Check that this task has not touched what somebody else is writing now."""
    partition = the_partition(registry)
    assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Callable[[str], bool]:
    """Says whether a text is in the log."""
    caplog.set_level(logging.INFO)
    return lambda text: text in caplog.text
