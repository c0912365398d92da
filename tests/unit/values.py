"""Sample partitions for the tests of the domain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    FormerState,
    Holder,
    Lock,
    Partition,
    PartitionState,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ME, OTHER = Holder("me", {"host": "worker-1"}), Holder("other")
FORMER = {
    "registered": FormerState(PartitionState.REGISTERED, NOW - 3 * HOUR),
    "failed": FormerState(PartitionState.FAILED, NOW - 3 * HOUR, "disk full"),
    "ready": FormerState(PartitionState.READY, NOW - 3 * HOUR, published_at=NOW - 3 * HOUR),
}


def hours(start: float, end: float) -> Interval:
    return Interval(NOW + start * HOUR, NOW + end * HOUR)


def partition(state: str = "registered", interval: Interval | None = None, **fields: Any) -> Partition:
    """A partition in a state: never locked if registered, else ready at first, then under lock 3 of ``ME``."""
    exclusive = fields.pop("exclusive", False)
    generation = fields.pop("generation", 0 if state == "registered" else 3)
    holder = fields.pop("holder", ME)
    lock = None
    if generation and holder:
        expires_at = NOW if state == "expired" else None
        lock = Lock(holder, generation, NOW - HOUR, expires_at, exclusive)
    given = {
        "source_name": "s",
        "provider_name": "p",
        "interval": interval or hours(0, 4),
        "state": PartitionState(state),
        "generation": generation,
        "registered_at": NOW - 2 * HOUR,
        "changed_at": NOW - HOUR,
        "lock": lock,
        "published_at": NOW - HOUR if state == "ready" else None,
        "reason": "disk full" if state == "failed" else None,
        "former": FORMER["ready"] if state in ("locked", "expired") else None,
        "id": 1,
    }
    return Partition(**{**given, **fields})
