"""The ready intervals (R1), kept up to date as partitions change.

The rows of a source are disjoint and do not touch, and their union is exactly its ready instants. They change in
the transaction that changes the partitions, under the source's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from sqlalchemy import column, delete, select, table, tuple_

from airflow_provider_partition_registry.domain.intervals import Interval, difference, union
from airflow_provider_partition_registry.domain.models import Partition, PartitionState
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.database.types import to_microseconds
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import ready_interval
from airflow_provider_partition_registry.store.sql.statements.upserts import upsert

_KEY = ("source_id", "interval_start")
_gone = table("gone", *(column(name, ready_interval.c[name].type) for name in _KEY))

SAVE = upsert(ready_interval, key=_KEY, changing=["interval_end"])
DELETE = ValuesStatement(
    _gone,
    delete(ready_interval).where(
        tuple_(*(ready_interval.c[name] for name in _KEY)).in_(
            select(_gone.c.source_id, _gone.c.interval_start)
        )
    ),
)


class Effect(Enum):
    """What a partition may do to the instants that it contains."""

    COVERS = auto()
    BLOCKS = auto()


def effect(partition: Partition | None) -> Effect | None:
    """What a partition does to the instants that it contains."""
    if partition is None or partition.state is PartitionState.REGISTERED:
        return None
    return Effect.COVERS if partition.state is PartitionState.READY else Effect.BLOCKS


def ready_after(
    turned: Iterable[Partition], published: Iterable[Interval], all_there: Iterable[Partition]
) -> tuple[Interval, ...]:
    """The ready parts of the intervals of partitions whose effect has changed (R1).

    :param turned: those partitions as they stand now.
    :param published: what others have published in the intervals of those that have no effect any more.
    :param all_there: all partitions that overlap these intervals and may block them.
    """
    covered = [each.interval for each in turned if effect(each) is Effect.COVERS]
    blocked = [each.interval for each in all_there if effect(each) is Effect.BLOCKS]
    return difference([*covered, *published], blocked)


def replace_inside(
    message: Message,
    source_id: int,
    intervals: Iterable[Interval],
    present: Iterable[Interval],
    ready: Iterable[Interval],
) -> tuple[Interval, ...]:
    """Make exactly ``ready`` the ready parts of the intervals; outside nothing changes.

    :param present: the existing rows that overlap or touch the intervals.
    :return: what becomes of those rows.
    """
    before = tuple(present)
    after = union([*difference(before, intervals), *ready])
    old = {row.start: row.end for row in before}
    new = {row.start: row.end for row in after}
    gone = [(source_id, to_microseconds(start)) for start in old.keys() - new.keys()]
    saved = [
        (source_id, to_microseconds(start), to_microseconds(end))
        for start, end in new.items()
        if old.get(start) != end
    ]
    DELETE.add_to(message, gone)
    SAVE.add_to(message, saved)
    return after
