"""The end of an upgrade that former versions took part in: what they could not work with is done now."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Table, and_, func, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement

from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    event_position,
    history,
    provider,
    pruning,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.positions import settled_position


def is_finished(database: Database) -> bool:
    """Whether nothing is left to do. A registry in SQLite is upgraded at once."""
    return database.is_sqlite or database.read(_has_sequence)


def finish(database: Database) -> None:
    """Let positions come from the sequence, so that no writer waits for one of another source (R9).

    Call it when no process of a version before 0006 is left: these can write no more, and following the history of
    all sources they might miss events. Nothing has to stop meanwhile: of the events of each source only those that
    have just been added are counted under its lock, and the switch is one short transaction.

    :raises SchemaError: the schema is not the one that this version needs.
    """
    revisions.require(database, is_own=True)
    if is_finished(database):
        return
    for table in (source, provider):
        for name in database.read(partial(_names, table=table)):
            _count_events(database, table, name)
    database.write(_switch_to_sequence)


def _has_sequence(connection: Connection) -> bool:
    return connection.execute(select(history.c.last_position)).scalar() is None


def _names(connection: Connection, table: Table) -> list[str]:
    return list(connection.execute(select(table.c.name).order_by(table.c.name)).scalars())


def _count_events(database: Database, table: Table, name: str) -> None:
    """Count most of them before its writers have to wait for the rest to be counted."""
    settled = database.read(settled_position)

    def count_most(connection: Connection) -> tuple[int, int]:
        its_id = connection.execute(select(table.c.id).where(table.c.name == name)).scalar_one()
        most = _count(connection, _events_of(table, its_id), event.c.position <= settled)
        return most, _removed(connection, table, its_id)

    most, removed = database.snapshot(count_most, is_unlimited=True)

    def count_rest(connection: Connection) -> None:
        its_row = select(table.c.id).where(table.c.name == name).with_for_update(key_share=True)
        its_id = connection.execute(its_row).scalar_one()
        its_events = _events_of(table, its_id)
        if _removed(connection, table, its_id) == removed:
            count = most + _count(connection, its_events, event.c.position > settled) + removed
        else:  # pruned meanwhile
            count = _count(connection, its_events) + _removed(connection, table, its_id)
        connection.execute(update(table).where(table.c.id == its_id).values(event_count=count))

    database.write(count_rest)


def _events_of(table: Table, its_id: int) -> ColumnElement:
    if table is source:
        return event.c.source_id == its_id
    return and_(event.c.source_id.is_(None), event.c.provider_id == its_id)


def _count(connection: Connection, *conditions: ColumnElement) -> int:
    return int(connection.execute(select(func.count()).where(*conditions)).scalar_one())


def _removed(connection: Connection, table: Table, its_id: int) -> int:
    """How many events of a source were pruned."""
    if table is not source:
        return 0
    removed = select(pruning.c.event_count).where(pruning.c.source_id == its_id)
    return connection.execute(removed).scalar() or 0


def _switch_to_sequence(connection: Connection) -> None:
    """Writers that wait for the counter's row go on with the sequence."""
    counted = connection.execute(select(history.c.last_position).with_for_update()).scalar()
    if counted is not None:
        connection.execute(select(func.setval(event_position.name, counted)))
        connection.execute(update(history).values(last_position=None))
