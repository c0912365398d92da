"""The history (R9): numbered so that whoever follows it never misses an event.

A writer takes the next position by updating the one row of ``history`` and holds that row until it commits. So
positions become visible in their order, also across sources; a plain sequence would let a transaction that took 7
commit after one that took 8, behind the back of a reader who has seen 8. It is the last thing that a transaction
waits for, and what comes after it is one insert and the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.tables import event, history

CHANNEL = "partition_registry"

# Registering, locking and renewing make nobody's wait end; a notification would only slow commits down.
WAKING_EVENTS = frozenset(
    {EventType.UNLOCK, EventType.FAIL, EventType.FORCE_RELEASE, EventType.INVALIDATE, EventType.WITHDRAW}
)

_values = {
    column.name: bindparam(column.name, type_=column.type) for column in event.c if column.name != "position"
}
_advance = update(history).values(last_position=history.c.last_position + 1)
_next = _advance.returning(history.c.last_position).cte("next")
_insert_next = insert(event).from_select(
    ["position", *_values], select(_next.c.last_position, *_values.values())
)
_insert_last = insert(event).from_select(
    ["position", *_values], select(history.c.last_position, *_values.values())
)
_insert_and_wake = _insert_next.returning(
    event.c.position, func.pg_notify(CHANNEL, bindparam("source_name")).label("notified")
)


def write_event(
    connection: Connection,
    event_type: EventType,
    *,
    at: datetime,
    source_id: int,
    source_name: str,
    provider_id: int | None = None,
    interval: Interval | None = None,
    holder: str | None = None,
    generation: int | None = None,
    details: Mapping[str, str] | None = None,
) -> None:
    """Add one line to the history, and wake who may wait for it. Call it last in a transaction."""
    values: dict[str, Any] = {
        "type": event_type.value,
        "at": at,
        "source_id": source_id,
        "provider_id": provider_id,
        "interval_start": interval.start if interval else None,
        "interval_end": interval.end if interval else None,
        "holder": holder,
        "generation": generation,
        "details": dict(details or {}),
    }
    if connection.dialect.name == "sqlite":
        connection.execute(_advance)
        result = connection.execute(_insert_last, values)
    elif event_type in WAKING_EVENTS:
        result = connection.execute(_insert_and_wake, {**values, "source_name": source_name})
    else:
        result = connection.execute(_insert_next, values)
    if result.rowcount != 1:
        raise RegistryError(
            "The history has lost its counter, so nothing can be recorded; nothing was changed. Restore it with: "
            "partition-registry db verify --repair"
        )
