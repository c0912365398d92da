"""Sources at a glance: some index probes per source, whatever its history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.domain.viewing import COUNTED_AT_MOST, Blockage, SourceOverview
from airflow_provider_partition_registry.store.sql.schema.tables import partition, ready_interval
from airflow_provider_partition_registry.store.sql.statements.rows import to_source

_BLOCKING = (PartitionState.LOCKED, PartitionState.EXPIRED, PartitionState.FAILED)


def overviews(sources: Select, now: ColumnElement) -> Select:
    """Overviews of the given sources, in the order of their names.

    :param sources: a statement with a limit that selects few sources.
    :param now: decides which locks have expired.
    """
    mine = sources.subquery("mine")
    columns = [
        *mine.c,
        _first_start(mine).label("extent_start"),
        _of_last(mine, partition, partition.c.interval_end).label("extent_end"),
        _of_last(mine, ready_interval, ready_interval.c.interval_start).label("ready_start"),
        _of_last(mine, ready_interval, ready_interval.c.interval_end).label("ready_end"),
    ]
    for state in _BLOCKING:
        count, since = _blockage(mine, state, now)
        columns += [count.label(f"{state}_count"), since.label(f"{state}_since")]
    return select(*columns).order_by(mine.c.name)


def to_overview(row: Any) -> SourceOverview:
    """Read a row of :func:`overviews`."""
    return SourceOverview(
        source=to_source(row),
        extent=None if row.extent_start is None else Interval(row.extent_start, row.extent_end),
        last_ready=None if row.ready_start is None else Interval(row.ready_start, row.ready_end),
        blockages=tuple(
            Blockage(state, getattr(row, f"{state}_count"), getattr(row, f"{state}_since"))
            for state in _BLOCKING
            if getattr(row, f"{state}_count")
        ),
    )


def _first_start(mine: FromClause) -> ColumnElement:
    return (
        select(func.min(partition.c.interval_start))
        .where(partition.c.source_id == mine.c.id)
        .scalar_subquery()
    )


def _of_last(mine: FromClause, rows: FromClause, wanted: ColumnElement) -> ColumnElement:
    """A column of the row with the latest start."""
    return (
        select(wanted)
        .where(rows.c.source_id == mine.c.id)
        .order_by(rows.c.interval_start.desc(), rows.c.interval_end.desc())
        .limit(1)
        .scalar_subquery()
    )


def _blockage(
    mine: FromClause, state: PartitionState, now: ColumnElement
) -> tuple[ColumnElement, ColumnElement]:
    """How many partitions are in the state, and since when the first of them. Counts only up to a maximum."""
    is_failed = state is PartitionState.FAILED
    stored = PartitionState.FAILED if is_failed else PartitionState.LOCKED
    looked_at = (
        select(partition.c.changed_at, partition.c.expires_at)
        .where(partition.c.source_id == mine.c.id, partition.c.state == stored.value)
        # In the order of an index, so that the index is used: the rows may be spread far over the table.
        .order_by(partition.c.length_class.desc(), partition.c.interval_start.desc())
        .limit(COUNTED_AT_MOST)
        .correlate(mine)
        .subquery()
    )
    is_over = and_(looked_at.c.expires_at.is_not(None), looked_at.c.expires_at <= now)
    is_held = or_(looked_at.c.expires_at.is_(None), looked_at.c.expires_at > now)
    counts = {PartitionState.LOCKED: is_held, PartitionState.EXPIRED: is_over}
    since = looked_at.c.expires_at if state is PartitionState.EXPIRED else looked_at.c.changed_at
    counted = since if is_failed else case((counts[state], since))
    return (
        select(func.count(counted)).select_from(looked_at).scalar_subquery(),
        select(func.min(counted)).select_from(looked_at).scalar_subquery(),
    )
