"""R1 recomputed from the partitions alone: a sweep over the instants at which anything starts or ends.

It shares no code with what maintains the ready intervals, and runs inside the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
    union_all,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    SHOWN_AT_MOST,
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
    show_instant,
)
from airflow_provider_partition_registry.store.sql.schema.tables import partition, ready_interval
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    READY_STATES,
    STORED_BLOCKING_STATES,
)

Column = ColumnElement


def raw(column: Column) -> Column:
    """The microseconds of an instant, for arithmetic."""
    return type_coerce(column, BigInteger())


def _rows_of_the_source(rows: FromClause, *conditions: Column) -> Column:
    return and_(rows.c.source_id == bindparam("of_source"), *conditions)


def _union(name: str, condition: Column) -> FromClause:
    """The union of the partitions for which the condition holds: a few stretches, however many partitions there are.

    A stretch begins where no earlier partition reaches; the previous stretch ends as far as those reach.
    """
    chosen = _rows_of_the_source(partition, condition)
    start, end = raw(partition.c.interval_start), raw(partition.c.interval_end)
    reached = func.max(end).over(order_by=(start, end), rows=(None, -1))
    each = select(start.label("interval_start"), reached.label("reached")).where(chosen).subquery()
    begins = or_(each.c.reached.is_(None), each.c.reached < each.c.interval_start)
    last_end = select(func.max(end)).where(chosen).scalar_subquery()
    next_reached = func.lead(each.c.reached).over(order_by=each.c.interval_start)
    return (
        select(each.c.interval_start, func.coalesce(next_reached, last_end).label("interval_end"))
        .where(begins)
        .cte(name)
    )


def _edges(stretches: FromClause, condition: Column, **levels: int) -> list[Select]:
    """Where stretches start and end, and by how much each level rises at the start and falls at the end."""
    return [
        select(
            raw(instant).label("at"), *[literal(level * sign).label(name) for name, level in levels.items()]
        ).where(condition)
        for instant, sign in ((stretches.c.interval_start, 1), (stretches.c.interval_end, -1))
    ]


def _one_if(condition: Column) -> Column:
    return case((condition, 1), else_=0)


def _stretches(edges: list[Select], value: Callable[[Any], Column]) -> Select:
    """The longest stretches ``[start, end)`` on which a value computed from the levels is constant and not 0."""
    edge = union_all(*edges).subquery()
    names = [name for name in edge.c.keys() if name != "at"]  # noqa: SIM118 - iterating gives columns
    step = (
        select(edge.c.at, *[func.sum(edge.c[name]).label(name) for name in names])
        .group_by(edge.c.at)
        .subquery()
    )
    so_far = [func.sum(step.c[name]).over(order_by=step.c.at, rows=(None, 0)).label(name) for name in names]
    level = select(step.c.at, *so_far).subquery()
    valued = select(level.c.at, value(level.c).label("value")).subquery()
    before = func.lag(valued.c.value, 1, 0).over(order_by=valued.c.at)
    compared = select(valued, before.label("before")).subquery()
    until = func.lead(compared.c.at).over(order_by=compared.c.at)
    stretch = (
        select(compared.c.at.label("interval_start"), until.label("interval_end"), compared.c.value)
        .where(compared.c.value != compared.c.before)
        .subquery()
    )
    return select(stretch).where(stretch.c.value != 0)


def _is_ready(level: Any) -> Column:
    return _one_if(and_(level.covering > 0, level.blocking == 0))


def _partition_edges() -> list[Select]:
    covering = _union("covering", partition.c.state.in_(READY_STATES))
    blocking = _union("blocking", partition.c.state.in_(STORED_BLOCKING_STATES))
    return [
        *_edges(covering, true(), covering=1, blocking=0, claiming=0),
        *_edges(blocking, true(), covering=0, blocking=1, claiming=0),
    ]


EXPECTED = _stretches(_partition_edges(), _is_ready)
"""The maximal ready intervals of a source, from its partitions alone (R1)."""


def _mismatches() -> Select:
    """Where the kept rows differ from R1: value 1 where a row is missing, -1 where one is wrong."""
    kept = _rows_of_the_source(ready_interval)
    edges = [*_partition_edges(), *_edges(ready_interval, kept, covering=0, blocking=0, claiming=1)]
    wrong = _stretches(edges, lambda level: _is_ready(level) - _one_if(level.claiming > 0)).subquery()
    total = func.count().over(partition_by=wrong.c.value)
    rank = func.row_number().over(partition_by=wrong.c.value, order_by=wrong.c.interval_start)
    numbered = select(wrong, total.label("total"), rank.label("rank")).subquery()
    return select(numbered).where(numbered.c.rank <= SHOWN_AT_MOST).order_by(numbered.c.interval_start)


MISMATCHES = _mismatches()
_MISMATCH_KINDS = {
    1: (DiscrepancyKind.READY_INTERVAL_MISSING, "ready by the partitions, but not kept as ready"),
    -1: (DiscrepancyKind.READY_INTERVAL_WRONG, "kept as ready, but not ready by the partitions"),
}


def compare_ready_intervals(connection: Connection, source_id: int, source_name: str) -> list[Discrepancy]:
    """Where the kept ready intervals of a source differ from what its partitions say."""
    rows = connection.execute(MISMATCHES, {"of_source": source_id}).all()
    found = []
    for value, (kind, what) in _MISMATCH_KINDS.items():
        of_kind = [row for row in rows if row.value == value]
        if of_kind:
            examples = [
                f"[{show_instant(row.interval_start)}, {show_instant(row.interval_end)})" for row in of_kind
            ]
            found.append(discrepancy(kind, source_name, what, of_kind[0].total, examples))
    return found
