"""Recomputing what follows from other rows."""

from __future__ import annotations

from sqlalchemy import delete, func, insert, literal, select, text, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.store.sql.changes.claim import lock_source
from airflow_provider_partition_registry.store.sql.maintenance.verification.recomputation import (
    EXPECTED,
)
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import (
    DERIVED_TABLES,
    event,
    event_position,
    history,
    length_class,
    longest_of,
    partition,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.positions import LastPosition


def rebuild_dropped_tables(connection: Connection) -> list[str]:
    """Create derived tables that somebody dropped and fill them, in one transaction, so that nobody sees them empty.

    :return: their names.
    """
    missing = revisions.missing_tables(connection)
    dropped = [each for each in (*DERIVED_TABLES, event_position) if each.name in missing]
    if dropped:
        for each in dropped:
            each.create(connection, checkfirst=False)
        if event_position in dropped:
            owner = f"{event.name}.{event.c.position.name}"
            connection.execute(text(f"ALTER SEQUENCE {event_position.name} OWNED BY {owner}"))
            connection.execute(update(history).values(home=None))  # a new sequence is no restored backup
        for source_name in connection.execute(select(source.c.name).order_by(source.c.name)).scalars().all():
            repair_source(connection, source_name)
        repair_history(connection)
    return [each.name for each in dropped]


def repair_source(connection: Connection, source_name: str) -> None:
    """Recompute what is derived from the partitions of a source."""
    _allow_time(connection)
    source_id = lock_source(connection, source_name)
    _rebuild_length_classes(connection, source_id)
    _rebuild_ready_intervals(connection, source_id)


def _rebuild_length_classes(connection: Connection, source_id: int) -> None:
    numbers = select(partition.c.length_class).where(partition.c.source_id == source_id)
    used = connection.execute(numbers.distinct()).scalars().all()
    connection.execute(delete(length_class).where(length_class.c.source_id == source_id))
    if used:
        rows = [
            {"source_id": source_id, "length_class": number, "longest": longest_of(number)} for number in used
        ]
        connection.execute(insert(length_class), rows)


def _rebuild_ready_intervals(connection: Connection, source_id: int) -> None:
    expected = EXPECTED.subquery()
    rows = select(literal(source_id), expected.c.interval_start, expected.c.interval_end)
    connection.execute(delete(ready_interval).where(ready_interval.c.source_id == source_id))
    connection.execute(
        insert(ready_interval).from_select(["source_id", "interval_start", "interval_end"], rows),
        {"of_source": source_id},
    )


def repair_history(connection: Connection) -> None:
    """Let positions continue from the last event. They never go back: followers would miss the events to come."""
    _allow_time(connection)
    is_sqlite = connection.dialect.name == "sqlite"
    if not is_sqlite:
        # Nobody takes a position meanwhile; and the one row of the history may be missing, which cannot be locked. One
        # table, as writers lock several in any order.
        connection.execute(text(f"LOCK TABLE {history.name} IN SHARE ROW EXCLUSIVE MODE"))
    last = connection.execute(select(func.max(event.c.position))).scalar() or 0
    reached = max(last, connection.execute(select(LastPosition())).scalar() or 0)
    if not is_sqlite:
        reached = max(reached, connection.execute(select(event_position.next_value())).scalar_one() - 1)
        connection.execute(select(func.setval(event_position.name, reached)))
    counted = history.c.last_position.is_not(None)
    connection.execute(update(history).where(counted).values(last_position=reached))
    if connection.execute(select(history.c.id)).first() is None:
        connection.execute(insert(history).values(id=1, last_position=reached if is_sqlite else None))


def _allow_time(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
