"""Checks that the history is complete and readable, and leads to the partitions' present states (R9)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from sqlalchemy import Table, and_, func, or_, select, true
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_partition_registry.store.sql.maintenance.verification.checks import (
    Check,
    per_source,
    show_partition,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    SHOWN_AT_MOST,
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
)
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    history,
    partition,
    provider,
    pruning,
    restoration,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.details import MapsTexts
from airflow_provider_partition_registry.store.sql.statements.positions import LastPosition
from airflow_provider_partition_registry.store.sql.statements.superseded import (
    KEY,
    is_of_partition,
    state_after,
)

Column = ColumnElement


def _partitions_against_their_last_event() -> Select:
    key = [event.c[name] for name in KEY]
    next_position = func.lead(event.c.position).over(partition_by=key, order_by=event.c.position)
    generation = func.coalesce(event.c.generation, 0)
    each = (
        select(
            *key,
            state_after().label("state"),
            generation.label("generation"),
            next_position.label("next_position"),
        )
        .where(event.c.interval_start.is_not(None))
        .subquery()
    )
    is_last = and_(is_of_partition(each), each.c.next_position.is_(None))
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
        .select_from(event.outerjoin(partition, is_of_partition(event)))
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
    """Check that no event is lost, and that the next position is a new one."""
    state: Any = connection.execute(
        select(
            LastPosition().label("given_out"),
            select(func.max(event.c.position)).scalar_subquery().label("last"),
            select(history.c.last_position).scalar_subquery().label("counter"),
        )
    ).one()
    given_out, last = state.given_out or 0, state.last or 0
    found = []
    if state.given_out is None or given_out < last:
        shown = "lost" if state.given_out is None else given_out
        what = f"the last position given out, {shown}, against a last event number {last}"
        found.append(discrepancy(DiscrepancyKind.HISTORY_COUNTER, None, what, 1))
    if connection.dialect.name == "sqlite" or state.counter is not None:
        return found + _find_holes(connection, max(given_out, last))
    return found + _find_missing(connection)


def _find_holes(connection: Connection, end: int) -> list[Discrepancy]:
    """While positions are counted, they have no holes."""
    there = select(func.count()).select_from(event)
    skipped = select(func.sum(restoration.c.first_position - restoration.c.last_before - 1))
    pruned = select(func.sum(pruning.c.event_count))
    lost = end - sum(connection.execute(each).scalar() or 0 for each in (there, skipped, pruned))
    if lost <= 0:
        return []
    what = "events lost from the history, which is numbered from 1 without a gap"
    examples = [_event(position) for position in _first_lost(connection, end)]
    return [discrepancy(DiscrepancyKind.HISTORY_GAP, None, what, lost, examples)]


def _find_missing(connection: Connection) -> list[Discrepancy]:
    """Positions from the sequence have holes, but whoever an event belongs to counts it."""
    what = "events lost from the history, which has fewer than were counted"
    return [
        *(_gap(row.name, what, row.lost) for row in connection.execute(_missing_events(source))),
        *(
            _gap(None, f"{what}, of provider {row.name!r} alone", row.lost)
            for row in connection.execute(_missing_events(provider))
        ),
    ]


def _gap(source_name: str | None, what: str, lost: int) -> Discrepancy:
    return discrepancy(DiscrepancyKind.HISTORY_GAP, source_name, what, lost)


def _missing_events(table: Table) -> Select:
    """For each source or provider with fewer events than it counts: its name, and how many are missing."""
    its_own = (
        event.c.source_id == source.c.id
        if table is source
        else and_(event.c.source_id.is_(None), event.c.provider_id == provider.c.id)
    )
    there = select(func.count()).where(its_own).correlate(table).scalar_subquery()
    removed = select(pruning.c.event_count).where(pruning.c.source_id == source.c.id).scalar_subquery()
    known = there + func.coalesce(removed, 0) if table is source else there
    each = select(table.c.name, (table.c.event_count - known).label("lost")).subquery()
    return select(each).where(each.c.lost > 0).order_by(each.c.name)


def _first_lost(connection: Connection, end: int) -> Iterator[int]:
    """The first few positions up to ``end`` that no event has, after those that were pruned."""
    pruned_to = connection.execute(select(func.max(pruning.c.pruned_to))).scalar() or 0
    before = func.lag(event.c.position, 1, pruned_to).over(order_by=event.c.position).label("before")
    each = select(before, event.c.position).where(event.c.position > pruned_to).subquery()
    # No event was lost where positions went on elsewhere after a backup was restored.
    skipped = {row.last_before: row.first_position for row in connection.execute(select(restoration))}
    statement = select(each).where(each.c.position > each.c.before + 1).order_by(each.c.position)
    holes = [
        range(skipped.get(row.before, row.before + 1), row.position)
        for row in connection.execute(statement.limit(SHOWN_AT_MOST + len(skipped)))
    ]
    last = connection.execute(select(func.max(event.c.position))).scalar() or 0
    return islice(chain(*holes, range(skipped.get(last, last + 1), end + 1)), SHOWN_AT_MOST)
