"""The ready intervals (R1), kept up to date as partitions change.

The rows of a source are disjoint and do not touch, and their union is exactly its ready instants. They change in
the transaction that changes the partitions, under the source's lock.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, delete, insert, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.intervals import Interval, difference, union
from airflow_provider_partition_registry.store.sql.schema.tables import ready_interval

_this_row = (
    ready_interval.c.source_id == bindparam("of_source"),
    ready_interval.c.interval_start == bindparam("of_start"),
)
INSERT = insert(ready_interval)
MOVE_END = update(ready_interval).where(*_this_row).values(interval_end=bindparam("new_end"))
DELETE = delete(ready_interval).where(*_this_row)


def replace_inside(
    connection: Connection,
    source_id: int,
    interval: Interval,
    *,
    present: Iterable[Interval],
    ready: Iterable[Interval],
) -> None:
    """Make exactly ``ready`` the ready part of ``interval``; outside nothing changes.

    :param present: the existing rows that overlap or touch the interval.
    """
    before = tuple(present)
    after = union([*difference(before, [interval]), *ready])
    old = {row.start: row.end for row in before}
    new = {row.start: row.end for row in after}
    gone = [{"of_source": source_id, "of_start": start} for start in old.keys() - new.keys()]
    moved = [
        {"of_source": source_id, "of_start": start, "new_end": new[start]}
        for start in old.keys() & new.keys()
        if old[start] != new[start]
    ]
    added = [
        {"source_id": source_id, "interval_start": start, "interval_end": new[start]}
        for start in new.keys() - old.keys()
    ]
    for statement, rows in ((DELETE, gone), (MOVE_END, moved), (INSERT, added)):
        if rows:
            connection.execute(statement, rows)
