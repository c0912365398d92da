"""Writing to the history (R9). How its events are numbered is described in ``statements/positions.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Integer, Table, bindparam, case, column, exc, func, insert, select, table, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import Insert

from airflow_provider_partition_registry.domain.errors import StoreRefusedError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import WAKING_EVENTS, EventType
from airflow_provider_partition_registry.store.sql.changes.home import home_of_file
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.database.types import ends_in_microseconds, to_microseconds
from airflow_provider_partition_registry.store.sql.database.values import Row, ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import event, history, provider, source
from airflow_provider_partition_registry.store.sql.statements.positions import next_position

CHANNEL = "partition_registry"
NOTIFY = "SELECT pg_notify(%s, %s)"


@dataclass(frozen=True)
class Line:
    """An event that is to be written, without its position."""

    type: EventType
    at: datetime
    source_id: int | None
    provider_id: int | None = None
    interval: Interval | None = None
    holder: str | None = None
    generation: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)


_line = table(
    "line",
    column("behind", Integer),  # how many lines come after it
    *(column(each.name, each.type) for each in event.c if each.name != "position"),
)
_values = [each for each in _line.c if each.name != "behind"]
_names = ["position", *(each.name for each in _values)]


def _insert_on_postgresql(counted_in: Table) -> Insert:
    """Count the lines and insert them.

    :param counted_in: the table of who the events belong to: ``source``, or ``provider`` if they concern no source.
    """
    how_many = select(func.count()).select_from(_line).scalar_subquery()
    whose = select(func.max(_line.c.source_id if counted_in is source else _line.c.provider_id))
    count = (
        update(counted_in)
        .where(counted_in.c.id == whose.scalar_subquery())
        .values(event_count=counted_in.c.event_count + how_many)
    )
    lines = select(_line).order_by(_line.c.behind.desc()).subquery("lines")
    position = next_position(how_many, lines.c.behind)
    numbered = select(position, *(lines.c[each.name] for each in _values))
    return insert(event).from_select(_names, numbered).add_cte(count.cte("count"))


# NULL if the history names another home.
_ADVANCE = str(
    update(history)
    .values(
        last_position=case(
            (history.c.home == bindparam("home"), history.c.last_position + bindparam("how_many"))
        )
    )
    .compile(dialect=sqlite.dialect())
)
# From 1 on; 0 and less, which the table refuses, if there is none. NULL would be replaced by SQLite itself.
_last = func.coalesce(select(history.c.last_position).scalar_subquery(), 0)
_insert_on_sqlite = insert(event).from_select(_names, select(_last - _line.c.behind, *_values))

_INSERT_OF_SOURCE, _INSERT_OF_PROVIDER = (
    ValuesStatement(_line, {"postgresql": _insert_on_postgresql(counted_in), "sqlite": _insert_on_sqlite})
    for counted_in in (source, provider)
)


def finish_with_events(message: Message, lines: Sequence[Line], source_name: str | None) -> None:
    """Add lines to the history, notify those who may wait for them, and end the transaction.

    :param message: the statements that change what the lines tell of. They are sent together.
    :param lines: all of one source, or all of one provider if they concern no source.
    :param source_name: sent with the notification; None only for events that cannot end anybody's wait.
    :raises HistoryElsewhereError: the history has lost its counter, or was restored from a backup.
    """
    insertion = _INSERT_OF_PROVIDER if lines[0].source_id is None else _INSERT_OF_SOURCE
    if message.dialect_name == "sqlite":
        message.add(_ADVANCE, (home_of_file(message.connection), len(lines)))
    insertion.add_to(message, [_to_row(line, len(lines) - place) for place, line in enumerate(lines, 1)])
    if message.dialect_name == "postgresql" and any(line.type in WAKING_EVENTS for line in lines):
        message.add(NOTIFY, (CHANNEL, str(source_name)))
    try:
        message.send(commits=True)
    except exc.IntegrityError as error:
        diagnostics = getattr(error.orig, "diag", None)
        about = (diagnostics.column_name or diagnostics.constraint_name) if diagnostics else str(error.orig)
        if about == "position" or "event_position" in (about or ""):
            raise HistoryElsewhereError(
                "The history has lost its counter, so nothing can be recorded; nothing was changed. Restore it with: "
                "partition-registry db verify --repair"
            ) from error
        raise


class HistoryElsewhereError(StoreRefusedError):
    """No position could be taken: the history is not where it was last written to, or has lost its counter."""


def _to_row(line: Line, behind: int) -> Row:
    return (
        behind,
        line.type.value,
        to_microseconds(line.at),
        line.source_id,
        line.provider_id,
        *(ends_in_microseconds(line.interval) if line.interval else (None, None)),
        line.holder,
        line.generation,
        json.dumps(dict(line.details)),
    )
