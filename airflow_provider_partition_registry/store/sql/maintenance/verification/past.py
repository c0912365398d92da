"""Checks that the history is complete and readable, and leads to the partitions' present states (R9)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from sqlalchemy import and_, case, func, or_, select, true
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import EventType, PartitionState
from airflow_provider_partition_registry.store.sql.maintenance.verification.checks import (
    Check,
    per_source,
    show_partition,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.details import MapsTexts
from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    SHOWN_AT_MOST,
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
)
from airflow_provider_partition_registry.store.sql.schema.tables import event, history, partition

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

Column = ColumnElement


def _state_after() -> Column:
    says_it = and_(event.c.type.in_([each.value for each in RELEASES]), MapsTexts(event.c.details))
    return case(
        *[(event.c.type == kind.value, state.value) for kind, state in STATE_AFTER.items()],
        (says_it, event.c.details["to"].as_string()),
    )


_KEY = ("source_id", "provider_id", "interval_start", "interval_end")


def _is_of_partition(rows: FromClause) -> Column:
    return and_(*[rows.c[name] == partition.c[name] for name in _KEY])


def _partitions_against_their_last_event() -> Select:
    key = [event.c[name] for name in _KEY]
    next_position = func.lead(event.c.position).over(partition_by=key, order_by=event.c.position)
    generation = func.coalesce(event.c.generation, 0)
    each = (
        select(
            *key,
            _state_after().label("state"),
            generation.label("generation"),
            next_position.label("next_position"),
        )
        .where(event.c.interval_start.is_not(None))
        .subquery()
    )
    is_last = and_(_is_of_partition(each), each.c.next_position.is_(None))
    # Without an event, or after a release whose details lack the state, there is nothing to compare with.
    differs = or_(
        each.c.state.is_(None),
        each.c.state != partition.c.state,
        each.c.generation != partition.c.generation,
    )
    differing = (
        select(partition.c.source_id, partition.c.id)
        .select_from(partition.outerjoin(each, is_last))
        .where(differs)
        .subquery()
    )
    return per_source(differing, differing.c.id, true())


def _events_without_partition() -> Select:
    orphans = (
        select(event.c.source_id, event.c.position)
        .select_from(event.outerjoin(partition, _is_of_partition(event)))
        .where(event.c.interval_start.is_not(None), partition.c.id.is_(None))
        .subquery()
    )
    return per_source(orphans, orphans.c.position, true())


def _event(position: int) -> str:
    return f"event number {position}"


CHECKS = (
    Check(
        DiscrepancyKind.EVENT_MALFORMED,
        "events whose details are no texts",
        per_source(event, event.c.position, ~MapsTexts(event.c.details), also_of_none=True),
        _event,
    ),
    Check(
        DiscrepancyKind.EVENT_WITHOUT_PARTITION,
        "events about partitions that are gone",
        _events_without_partition(),
        _event,
    ),
    Check(
        DiscrepancyKind.PARTITION_HISTORY,
        "partitions whose state or generation is not that of their last event in the history",
        _partitions_against_their_last_event(),
        show_partition,
    ),
)


def check_history(connection: Connection) -> list[Discrepancy]:
    """Check that the history is complete and its counter continues from its end."""
    state: Any = connection.execute(
        select(
            select(func.max(history.c.last_position)).scalar_subquery().label("counter"),
            select(func.max(event.c.position)).scalar_subquery().label("last"),
            select(func.count()).select_from(event).scalar_subquery().label("events"),
        )
    ).one()
    counter, last = state.counter or 0, state.last or 0
    found = []
    if state.counter is None or counter < last:
        shown = "lost" if state.counter is None else counter
        what = f"the history's counter, {shown}, against a last event number {last}"
        found.append(discrepancy(DiscrepancyKind.HISTORY_COUNTER, None, what, 1))
    end = max(counter, last)
    lost = end - state.events
    if lost > 0:
        what = "events lost from the history, which is numbered from 1 without a gap"
        examples = [_event(position) for position in _first_lost(connection, end)]
        found.append(discrepancy(DiscrepancyKind.HISTORY_GAP, None, what, lost, examples))
    return found


def _first_lost(connection: Connection, end: int) -> Iterator[int]:
    """The first few positions up to ``end`` that no event has."""
    before = func.lag(event.c.position, 1, 0).over(order_by=event.c.position).label("before")
    each = select(before, event.c.position).subquery()
    statement = select(each).where(each.c.position > each.c.before + 1).order_by(each.c.position)
    inside = [
        range(row.before + 1, row.position) for row in connection.execute(statement.limit(SHOWN_AT_MOST))
    ]
    last = connection.execute(select(func.max(event.c.position))).scalar() or 0
    return islice(chain(*inside, range(last + 1, end + 1)), SHOWN_AT_MOST)
