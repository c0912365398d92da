"""Conversions between rows of the tables and values of the domain."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    EventType,
    FormerState,
    Holder,
    Lock,
    Partition,
    PartitionState,
)
from airflow_provider_partition_registry.store.sql.schema.tables import partition

PARTITION_COLUMNS = [
    column for column in partition.c if column.name not in ("source_id", "provider_id", "length_class")
]
"""The columns of the table itself that :func:`to_partition` reads."""

CHANGING_COLUMNS = (
    *("state", "generation", "changed_at", "published_at", "reason"),
    *("holder", "holder_details", "locked_at", "expires_at", "exclusive"),
    *("former_state", "former_changed_at", "former_published_at", "former_reason", "released_by"),
)
"""The columns that :func:`from_partition` writes: those that change with a partition's state."""


def to_partition(row: Any, source_name: str, provider_name: str, now: datetime) -> Partition:
    """Read a partition as it stands at ``now``: a lock whose lease is over is expired (R5)."""
    lock = None
    if row.holder is not None:
        holder = Holder(row.holder, row.holder_details or {})
        lock = Lock(holder, row.generation, row.locked_at, row.expires_at, bool(row.exclusive))
    state = PartitionState(row.state)
    if state is PartitionState.LOCKED and row.expires_at is not None and row.expires_at <= now:
        state = PartitionState.EXPIRED
    return Partition(
        source_name=source_name,
        provider_name=provider_name,
        interval=Interval(row.interval_start, row.interval_end),
        state=state,
        generation=row.generation,
        registered_at=row.registered_at,
        changed_at=row.changed_at,
        lock=lock,
        reason=row.reason,
        published_at=row.published_at,
        former=_to_former_state(row),
        released_by=row.released_by,
        id=row.id,
    )


def _to_former_state(row: Any) -> FormerState | None:
    if row.former_state is None:
        return None
    return FormerState(
        PartitionState(row.former_state), row.former_changed_at, row.former_reason, row.former_published_at
    )


def to_intervals(rows: Iterable[Any]) -> list[Interval]:
    """The intervals of any rows that have one."""
    return [Interval(row.interval_start, row.interval_end) for row in rows]


def from_partition(value: Partition) -> dict[str, Any]:
    """The columns that change with a partition's state."""
    lock, former = value.lock, value.former
    stored = PartitionState.LOCKED if value.state is PartitionState.EXPIRED else value.state
    return {
        "state": stored.value,
        "generation": value.generation,
        "changed_at": value.changed_at,
        "published_at": value.published_at,
        "reason": value.reason,
        "holder": lock.holder.identity if lock else None,
        "holder_details": dict(lock.holder.details) if lock else None,
        "locked_at": lock.locked_at if lock else None,
        "expires_at": lock.expires_at if lock else None,
        "exclusive": bool(lock and lock.exclusive),
        "former_state": former.state.value if former else None,
        "former_changed_at": former.changed_at if former else None,
        "former_published_at": former.published_at if former else None,
        "former_reason": former.reason if former else None,
        "released_by": value.released_by,
    }


def to_event(row: Any) -> Event:
    """Read a line of the history; the row contains the names of source and provider."""
    interval = None
    if row.interval_start is not None:
        interval = Interval(row.interval_start, row.interval_end)
    return Event(
        position=row.position,
        type=EventType(row.type),
        at=row.at,
        source_name=row.source_name,
        provider_name=row.provider_name,
        interval=interval,
        holder=row.holder,
        generation=row.generation,
        details=row.details,
    )
