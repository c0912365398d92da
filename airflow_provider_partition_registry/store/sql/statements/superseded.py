"""Which events tell what is the case now, and which events and partitions do not matter to any answer any more."""

from __future__ import annotations

from sqlalchemy import BigInteger, and_, case, column, exists, func, or_, select, table
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import EventType, PartitionState
from airflow_provider_partition_registry.store.sql.database.types import UtcInstant
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import event, length_class, partition
from airflow_provider_partition_registry.store.sql.statements.details import MapsTexts
from airflow_provider_partition_registry.store.sql.statements.overlaps import READY_STATES, overlapping, reach

Column = ColumnElement

STATE_AFTER = {
    EventType.PARTITION_REGISTERED: PartitionState.REGISTERED,
    EventType.LOCK: PartitionState.LOCKED,
    EventType.RENEW: PartitionState.LOCKED,
    EventType.UNLOCK: PartitionState.READY,
    EventType.FAIL: PartitionState.FAILED,
    EventType.INVALIDATE: PartitionState.FAILED,
    EventType.WITHDRAW: PartitionState.REGISTERED,
}
"""The stored state in which an event leaves its partition. The details of a release, forced or not, say it."""

RELEASES = (EventType.RELEASE, EventType.FORCE_RELEASE)

KEY = ("source_id", "provider_id", "interval_start", "interval_end")
"""What events name a partition by."""


def state_after() -> Column:
    """The stored state in which an event leaves its partition; NULL if its details should say it and do not."""
    says_it = and_(event.c.type.in_([each.value for each in RELEASES]), MapsTexts(event.c.details))
    return case(
        *[(event.c.type == kind.value, state.value) for kind, state in STATE_AFTER.items()],
        (says_it, event.c.details["to"].as_string()),
    )


def is_of_partition(rows: FromClause) -> Column:
    """Join condition: the partition that events are about."""
    return and_(*[rows.c[name] == partition.c[name] for name in KEY])


def events_beside_partitions(condition: Column, limit: int) -> Select:
    """Events of a source in their order, each beside its partition as it stands, if it is about one.

    An event is superseded if its partition has been locked again, or brought to another state, since. As long as it has
    not been, the event is the last of the partition, apart from renewals of its lock.
    """
    has_moved_on = or_(
        partition.c.generation > func.coalesce(event.c.generation, 0), partition.c.state != state_after()
    )
    return (
        select(
            event.c.position,
            event.c.at,
            and_(partition.c.id.is_not(None), has_moved_on).label("is_superseded"),
            *(partition.c[name] for name in ("id", "state", "generation", "published_at")),
            *(partition.c[name] for name in ("interval_start", "interval_end")),
        )
        .select_from(event.outerjoin(partition, is_of_partition(event)))
        .where(condition)
        .order_by(event.c.source_id, event.c.position)
        .limit(limit)
    )


ready_partition = table(
    "ready_partition",
    column("id", BigInteger),
    column("source_id", BigInteger),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
    column("published_at", BigInteger),
    column("before", BigInteger),
)
"""A partition that may be superseded, and the instant before which this must have happened."""

_reach = reach(ready_partition, "reach")

COVERING = ValuesStatement(
    ready_partition,
    select(
        _reach.c.id.label("of_id"), partition.c.id, partition.c.interval_start, partition.c.interval_end
    ).select_from(
        overlapping(
            _reach,
            READY_STATES,
            partition.c.id != _reach.c.id,
            partition.c.published_at >= _reach.c.published_at,
            partition.c.published_at < _reach.c.before,
        )
    ),
)
"""The ready partitions that overlap it and were published when it was or later, up to the instant."""


def is_unused(source_id: int) -> Column:
    """Whether a class of lengths is one of the source's, and no partition is in it any more."""
    states = [each.value for each in PartitionState]
    used = exists(
        select(partition.c.id).where(
            partition.c.source_id == length_class.c.source_id,
            partition.c.state.in_(states),  # as the index begins with it
            partition.c.length_class == length_class.c.length_class,
        )
    )
    return and_(length_class.c.source_id == source_id, ~used)
