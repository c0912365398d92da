"""Statements that list or count partitions: locks of all sources, and the partitions of one."""

from __future__ import annotations

from sqlalchemy import (
    Table,
    and_,
    func,
    literal,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.contract import MOST_LOCKS_COUNTED
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.database.types import UtcInstant
from airflow_provider_partition_registry.store.sql.schema.tables import (
    partition,
    provider,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    overlapping,
    reach,
)
from airflow_provider_partition_registry.store.sql.statements.rows import PARTITION_COLUMNS

Column = ColumnElement


def locks_at(now: Column) -> Select:
    """How many partitions are locked at a moment, and how many of these have a lease that is over; one row.

    Counted source by source, as an index supports that.
    """
    per_source = (
        select(
            _locks_of_source().label("locked"),
            _locks_of_source(partition.c.expires_at <= now).label("expired"),
        )
        .select_from(source)
        .subquery()
    )
    return select(
        func.coalesce(func.sum(per_source.c.locked), 0).label("locked"),
        func.coalesce(func.sum(per_source.c.expired), 0).label("expired"),
    )


def _locks_of_source(*conditions: Column) -> Column:
    locked = (
        select(partition.c.id)
        .where(
            partition.c.source_id == source.c.id,
            partition.c.state == PartitionState.LOCKED.value,
            *conditions,
        )
        .limit(MOST_LOCKS_COUNTED)
        .correlate(source)
        .subquery()
    )
    return select(func.count()).select_from(locked).correlate(source).scalar_subquery()


def locks_by_id(holder_prefix: str | None, after: int, limit: int) -> Select:
    """The locked partitions of all sources, by id."""
    locked = [partition.c.source_id == source.c.id, partition.c.state == PartitionState.LOCKED.value]
    if holder_prefix is not None:
        # LIKE would interpret wildcards, and be case-insensitive in SQLite.
        locked.append(func.substr(partition.c.holder, 1, len(holder_prefix)) == holder_prefix)
    # Outer joins are done in the order in which they are written, so the locks are looked up source by source with the
    # right index. For that, no condition outside the joins may exclude NULL by itself.
    by_source = source.outerjoin(partition, and_(*locked)).outerjoin(
        provider, provider.c.id == partition.c.provider_id
    )
    names = source.c.name.label("source_name"), provider.c.name.label("provider_name")
    return (
        select(*PARTITION_COLUMNS, *names, DatabaseNow().label("now"))
        .select_from(by_source)
        .where(func.coalesce(partition.c.id, 0) > after)
        .order_by(partition.c.id)
        .limit(limit)
    )


_ALL_STATES = tuple(state.value for state in PartitionState)


def id_of(table: Table, name: str) -> Column:
    """The id of the source or provider with this name, looked up within the statement; NULL if there is none."""
    return select(table.c.id).where(table.c.name == name).scalar_subquery()


def require_partition(connection: Connection, cursor: int) -> None:
    """Refuse to go on from a partition that is gone, as that would look like the end of the list.

    :raises InvalidInputError: there is no partition with this id.
    """
    if connection.execute(select(partition.c.id).where(partition.c.id == cursor)).scalar() is None:
        raise InvalidInputError(
            f"The list cannot go on after {cursor}: no partition has this id. It may have been pruned meanwhile; begin "
            f"the list anew."
        )


def partitions_by_start(
    source_id: Column,
    interval: Interval | None,
    after: int | None,
    limit: int,
    provider_name: str | None = None,
) -> Select:
    """Partitions by start. Those that overlap an interval begin before it and reach into it, or begin inside it."""
    columns = [*PARTITION_COLUMNS, partition.c.provider_id]
    order = (partition.c.interval_start, partition.c.interval_end, partition.c.provider_id)
    wanted: ColumnElement = true()
    if after is not None:
        wanted = tuple_(*order) > select(*order).where(partition.c.id == after).scalar_subquery()
    if provider_name is not None:
        # Not "provider_id = ...": the index by provider knows nothing of starts, and all that it has would be read.
        wanted = and_(wanted, partition.c.provider_id - id_of(provider, provider_name) == 0)
    mine = and_(partition.c.source_id == source_id, wanted)
    if interval is None:
        parts = [select(*columns).where(mine)]
    else:
        asked = select(
            source_id.label("source_id"),
            literal(interval.start, UtcInstant()).label("interval_start"),
            literal(interval.end, UtcInstant()).label("interval_end"),
        ).cte("asked")
        # If the values themselves stood in place of the reach's, PostgreSQL might read everything that began before.
        its_reach = reach(asked, "reach")
        reach_in = (
            select(*columns)
            .select_from(overlapping(its_reach, _ALL_STATES))
            .where(partition.c.interval_start < its_reach.c.interval_start, wanted)
        )
        begin_there = select(*columns).where(
            mine, partition.c.interval_start >= interval.start, partition.c.interval_start < interval.end
        )
        parts = [reach_in, begin_there]
    limited = [part.order_by(*order).limit(limit).subquery() for part in parts]
    found = union_all(*[select(part) for part in limited]).subquery()
    return (
        select(found, provider.c.name.label("provider_name"), DatabaseNow().label("now"))
        .select_from(found.join(provider, provider.c.id == found.c.provider_id))
        .order_by(found.c.interval_start, found.c.interval_end, found.c.provider_id)
    )
