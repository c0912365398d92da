"""Writing to the history (R9). How its events are numbered is described in ``statements/positions.py``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, exc, func, insert, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import Insert, Update

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.database.frame import commit_with_next
from airflow_provider_partition_registry.store.sql.schema.tables import event, history, provider, source
from airflow_provider_partition_registry.store.sql.statements.positions import NEXT_POSITION

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
    ["position", *_values], select(select(history.c.last_position).scalar_subquery(), *_values.values())
)


@cache
def _insert_next(change: Update | None, wakes: bool, counted_in: Table) -> Insert:
    """On PostgreSQL: apply the change, count the event, take a position and insert it, all in one round trip.

    :param counted_in: the table of who the event belongs to: ``source``, or ``provider`` if it concerns no source.
    """
    whose = _values["source_id" if counted_in is source else "provider_id"]
    count = (
        update(counted_in).where(counted_in.c.id == whose).values(event_count=counted_in.c.event_count + 1)
    )
    taken = NEXT_POSITION.cte("taken")
    statement = insert(event).from_select(
        ["position", *_values], select(select(taken.c.position).scalar_subquery(), *_values.values())
    )
    for name, also in (("count", count), ("change", change)):
        if also is not None:
            statement = statement.add_cte(also.cte(name))
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
    is_last: bool = True,
) -> None:
    """Add one line to the history, and notify those who may wait for it. Call it last in a transaction.

    :param source_name: sent with the notification; None only for events that cannot end anybody's wait.
    :param change: a statement with its parameters, to be executed just before in the same round trip.
    :param is_last: False if more is to come in the transaction; otherwise PostgreSQL commits it in the same round trip.
    :raises StoreRefusedError: the history has lost its counter.
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
        insertion = _insert_last
    else:
        wakes = event_type in WAKING_EVENTS
        values |= {"source_name": source_name} if wakes else {}
        values |= parameters
        insertion = _insert_next(statement, wakes, provider if source_id is None else source)
        if is_last:
            commit_with_next(connection)
    try:
        connection.execute(insertion, values)
    except exc.IntegrityError as error:
        if "position" in str(error.orig) and "null" in str(error.orig).lower():
            raise StoreRefusedError(
                "The history has lost its counter, so nothing can be recorded; nothing was changed. Restore it with: "
                "partition-registry db verify --repair"
            ) from error
        raise
