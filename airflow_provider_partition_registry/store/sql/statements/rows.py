"""Conversions between rows of the tables and values of the domain."""

from __future__ import annotations

import json
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
from airflow_provider_partition_registry.domain.principals import Source
from airflow_provider_partition_registry.store.sql.database.types import ends_in_microseconds, to_microseconds
from airflow_provider_partition_registry.store.sql.database.values import Row
from airflow_provider_partition_registry.store.sql.schema.tables import length_class_of, partition

PARTITION_COLUMNS = [
    column for column in partition.c if column.name not in ("source_id", "provider_id", "length_class")
]
"""The columns of the table itself that :func:`to_partition` reads."""

CHANGING_COLUMNS = (
    *("state", "generation", "changed_at", "published_at", "reason"),
    *("holder", "holder_details", "locked_at", "expires_at", "exclusive"),
    *("former_state", "former_changed_at", "former_published_at", "former_reason", "released_by"),
)
"""Those that change with a partition's state."""


def to_source(row: Any) -> Source:
    """Read a source."""
    return Source(row.name, row.owner, row.registered_at, row.id, row.uri)


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


def from_partition(value: Partition, source_id: int, provider_id: int) -> Row:
    """The row of a partition: all columns of the table in its order."""
    lock, former = value.lock, value.former
    stored = PartitionState.LOCKED if value.state is PartitionState.EXPIRED else value.state
    return (
        value.id,
        source_id,
        provider_id,
        *ends_in_microseconds(value.interval),
        length_class_of(value.interval),
        stored.value,
        value.generation,
        to_microseconds(value.registered_at),
        to_microseconds(value.changed_at),
        _microseconds(value.published_at),
        value.reason,
        lock.holder.identity if lock else None,
        json.dumps(dict(lock.holder.details)) if lock else None,
        _microseconds(lock.locked_at) if lock else None,
        _microseconds(lock.expires_at) if lock else None,
        bool(lock and lock.exclusive),
        former.state.value if former else None,
        _microseconds(former.changed_at) if former else None,
        _microseconds(former.published_at) if former else None,
        former.reason if former else None,
        value.released_by,
    )


def _microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else to_microseconds(instant)


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
