"""Finding partitions that overlap an interval, at a cost that does not grow with a source's history.

Parts of statements. Each takes rows with the intervals in question (``source_id``, ``interval_start``,
``interval_end``), be they questions, a claim, or one row of values.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, case, func, select
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    partition,
    ready_interval,
)

STORED_BLOCKING_STATES = (PartitionState.LOCKED.value, PartitionState.FAILED.value)
"""The blocking states as they are stored: an expired lock is stored as locked."""

READY_STATES = (PartitionState.READY.value,)


def reach(rows: FromClause, name: str) -> FromClause:
    """Where partitions that overlap the rows' intervals may begin: one row per class of lengths of the source.

    A row holds all that a look-up needs, so that the planner can only make it one range of the index, however long the
    history. When questions, sources and classes were joined one by one, it at times read all sources.
    """
    return materialized(
        select(
            *rows.c,
            length_class.c.length_class,
            (rows.c.interval_start - length_class.c.longest).label("begins_after"),
        ).select_from(rows.join(length_class, length_class.c.source_id == rows.c.source_id)),
        name,
    )


def overlapping(rows: FromClause, states: Sequence[str], *conditions: ColumnElement) -> FromClause:
    """The rows of a :func:`reach`, joined with the partitions in one of the states that overlap their intervals."""
    is_overlapping = and_(
        partition.c.source_id == rows.c.source_id,
        partition.c.state.in_(states),
        partition.c.length_class == rows.c.length_class,
        partition.c.interval_start > rows.c.begins_after,
        partition.c.interval_start < rows.c.interval_end,
        # Not "interval_end > interval_start": an index that knows nothing of classes would match that.
        partition.c.interval_end - rows.c.interval_start > 0,
        *conditions,
    )
    return rows.join(partition, is_overlapping)


def materialized(rows: Select, name: str) -> FromClause:
    """A part of a statement that is planned and run separately, once."""
    return rows.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")


def merged(rows: Select) -> Select:
    """The union of intervals: rows ``(n, interval_start, interval_end)``, merged per ``n``."""
    each = rows.subquery()
    order = (each.c.interval_start, each.c.interval_end)
    before = func.max(each.c.interval_end).over(partition_by=each.c.n, order_by=order, rows=(None, -1))
    reached = select(each, before.label("reached")).subquery()
    starts_anew = case((reached.c.reached >= reached.c.interval_start, 0), else_=1)
    order = (reached.c.interval_start, reached.c.interval_end)
    island = func.sum(starts_anew).over(partition_by=reached.c.n, order_by=order, rows=(None, 0))
    numbered = select(reached, island.label("island")).subquery()
    return select(
        numbered.c.n,
        func.min(numbered.c.interval_start).label("interval_start"),
        func.max(numbered.c.interval_end).label("interval_end"),
    ).group_by(numbered.c.n, numbered.c.island)


def ready_intervals_of(rows: FromClause) -> ColumnElement:
    """Join condition: the ready intervals that overlap or touch the rows' intervals.

    They are disjoint, so of those that begin at or before the interval's start only the last can reach it.
    """
    earlier = ready_interval.alias("earlier")
    last_before = (
        select(func.max(earlier.c.interval_start))
        .where(earlier.c.source_id == rows.c.source_id, earlier.c.interval_start <= rows.c.interval_start)
        .scalar_subquery()
    )
    return and_(
        ready_interval.c.source_id == rows.c.source_id,
        ready_interval.c.interval_start >= func.coalesce(last_before, rows.c.interval_start),
        ready_interval.c.interval_start <= rows.c.interval_end,
        ready_interval.c.interval_end >= rows.c.interval_start,
    )
