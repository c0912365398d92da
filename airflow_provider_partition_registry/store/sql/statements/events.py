"""Statements that read the history."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import exists, func, or_, select
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import REWRITING_EVENTS, EventType
from airflow_provider_partition_registry.store.sql.schema.tables import event, provider, pruning, source
from airflow_provider_partition_registry.store.sql.statements.positions import is_lost

EVENTS = select(
    event, source.c.name.label("source_name"), provider.c.name.label("provider_name")
).select_from(event.outerjoin(source).outerjoin(provider))
"""The history with its names; the caller adds the order and where to start."""


def newest_first(source_id: ColumnElement) -> Select:
    """The history of a source, the newest event first."""
    # Not "=", for the reason given in positions.py where it looks up a source's last position.
    of_source = event.c.source_id.between(source_id, source_id)
    return EVENTS.where(of_source).order_by(event.c.source_id.desc(), event.c.position.desc())


def is_one_of(types: Iterable[EventType]) -> ColumnElement:
    """Whether an event has one of these types."""
    return event.c.type.in_(sorted(each.value for each in types))


def has_changed(source_name: str, interval: Interval, as_of: int) -> Select:
    """Whether anything in the interval was rewritten after a position (R7); no row for an unknown source."""
    # A position that the history never reached precedes a restored backup: what changed since is unknown.
    # Not the last position given out, which may have outlived its event in a crash.
    newest = func.coalesce(select(func.max(event.c.position)).scalar_subquery(), 0)
    is_unheard_of = or_(newest < as_of, is_lost(as_of))
    # Of a partition that is left, the last event tells it as well as all of them. Of one that was removed none is left.
    was_removed = func.coalesce(pruning.c.partitions_pruned_to, 0) > as_of
    was_rewritten = exists().where(
        event.c.source_id == source.c.id,
        event.c.position > as_of,
        is_one_of(REWRITING_EVENTS),
        event.c.interval_start < interval.end,
        event.c.interval_end > interval.start,
    )
    return (
        select(or_(is_unheard_of, was_removed, was_rewritten).label("is_changed"))
        .select_from(source.outerjoin(pruning))
        .where(source.c.name == source_name)
    )
