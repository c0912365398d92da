"""The history (R9), numbered so that a reader that follows it never misses an event.

A writer takes the next position by updating the one row of ``history`` and holds that row until it commits. So
positions become visible in their order, even across sources. With a plain sequence, a transaction that took 7 could
commit after one that took 8, and a reader that has seen 8 would miss 7. Taking the position is the last thing that a
transaction waits for; after it come one insert and the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import Insert, Update

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.schema.tables import event, history

CHANNEL = "partition_registry"

# Registering, locking and renewing cannot end anybody's wait; notifications for them would only slow commits down.
WAKING_EVENTS = frozenset(
    {
        EventType.UNLOCK,
        EventType.FAIL,
        EventType.RELEASE,
        EventType.FORCE_RELEASE,
        EventType.INVALIDATE,
        EventType.WITHDRAW,
    }
)

# Named differently from the parameters of a change that is sent together with the event.
_values = {
    column.name: bindparam(f"event_{column.name}", type_=column.type)
    for column in event.c
    if column.name != "position"
}
_advance = update(history).values(last_position=history.c.last_position + 1)
_insert_last = insert(event).from_select(
    ["position", *_values], select(history.c.last_position, *_values.values())
)


@cache
def _insert_next(change: Update | None, wakes: bool) -> Insert:
    """On PostgreSQL: apply the change, increment the counter and insert the event, all in one round trip."""
    position = _advance.returning(history.c.last_position).cte("next")
    statement = insert(event).from_select(
        ["position", *_values], select(position.c.last_position, *_values.values())
    )
    if change is not None:
        statement = statement.add_cte(change.cte("change"))
    if wakes:
        return statement.returning(
            event.c.position, func.pg_notify(CHANNEL, bindparam("source_name")).label("notified")
        )
    return statement


def write_event(
    connection: Connection,
    event_type: EventType,
    *,
    at: datetime,
    source_id: int | None,
    source_name: str | None,
    provider_id: int | None = None,
    interval: Interval | None = None,
    holder: str | None = None,
    generation: int | None = None,
    details: Mapping[str, str] | None = None,
    change: tuple[Update, Mapping[str, Any]] | None = None,
) -> None:
    """Add one line to the history, and notify those who may wait for it. Call it last in a transaction.

    :param source_name: sent with the notification; None only for events that cannot end anybody's wait.
    :param change: a statement with its parameters, to be executed just before in the same round trip.
    """
    statement, parameters = change or (None, {})
    line = {
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
    values = {f"event_{name}": value for name, value in line.items()}
    if connection.dialect.name == "sqlite":
        if statement is not None:
            connection.execute(statement, parameters)
        connection.execute(_advance)
        result = connection.execute(_insert_last, values)
    else:
        wakes = event_type in WAKING_EVENTS
        addressee = {"source_name": source_name} if wakes else {}
        result = connection.execute(_insert_next(statement, wakes), {**parameters, **values, **addressee})
    if result.rowcount != 1:
        raise StoreRefusedError(
            "The history has lost its counter, so nothing can be recorded; nothing was changed. Restore it with: "
            "partition-registry db verify --repair"
        )
