"""The statements that answer questions and find overlaps. Each has a name, a purpose, and its home here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Integer,
    Text,
    and_,
    case,
    cast,
    column,
    false,
    func,
    literal,
    null,
    select,
    table,
    union_all,
)
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.questions import QuestionStatement, question
from airflow_provider_partition_registry.store.sql.rows import PARTITION_COLUMNS
from airflow_provider_partition_registry.store.sql.tables import (
    event,
    grant,
    length_class,
    partition,
    provider,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.types import UtcInstant
from airflow_provider_partition_registry.store.sql.values import ValuesStatement

STORED_BLOCKING_STATES = (PartitionState.LOCKED.value, PartitionState.FAILED.value)
"""The blocking states as they are stored: an expired lock is stored as locked."""

READY_STATES = (PartitionState.READY.value,)

Column = ColumnElement
asked = question.join(source, source.c.name == question.c.source_name)


def _as_of(source_id: Column) -> Column:
    """The source's position in the history."""
    last = (
        select(event.c.position)
        # Not "=": PostgreSQL may then go back through the events of all sources until it meets one of this source.
        .where(event.c.source_id.between(source_id, source_id))
        .order_by(event.c.source_id.desc(), event.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last, 0)


def _reach(rows: FromClause, name: str) -> FromClause:
    """Where partitions that overlap the rows' intervals may begin: a row per class of lengths of the source.

    A row holds all that a look-up needs, so that the planner can only do it as one range of the index, however
    long the history. Joining questions, sources and classes one by one it at times looked through all sources.
    """
    return _materialized(
        select(
            *rows.c,
            length_class.c.length_class,
            (rows.c.interval_start - length_class.c.longest).label("begins_after"),
        ).select_from(rows.join(length_class, length_class.c.source_id == rows.c.source_id)),
        name,
    )


def _in_reach(reach: FromClause, states: Sequence[str]) -> Column:
    """Join condition: the partitions in one of the states that overlap the intervals of a :func:`_reach`."""
    return and_(
        partition.c.source_id == reach.c.source_id,
        partition.c.state.in_(states),
        partition.c.length_class == reach.c.length_class,
        partition.c.interval_start > reach.c.begins_after,
        partition.c.interval_start < reach.c.interval_end,
        # Not "interval_end > interval_start": another index would fit, which knows nothing of classes.
        partition.c.interval_end - reach.c.interval_start > 0,
    )


def _materialized(rows: Select, name: str) -> FromClause:
    """A part of a statement that is planned and run by itself, once."""
    return rows.cte(name).prefix_with("MATERIALIZED", dialect="postgresql")


def _merged(rows: Select) -> Select:
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


def _ready_intervals_of(rows: FromClause) -> Column:
    """Join condition: the ready intervals that overlap or touch the rows' intervals.

    They are disjoint, so of those that begin at or before its start only the last can reach it.
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


def _is_ready() -> Column:
    last = (
        select(ready_interval.c.interval_end)
        .where(
            ready_interval.c.source_id == source.c.id,
            ready_interval.c.interval_start <= question.c.interval_start,
        )
        .order_by(ready_interval.c.interval_start.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last >= question.c.interval_end, false())


ARE_READY = QuestionStatement(
    select(question.c.n, _as_of(source.c.id).label("as_of"), _is_ready().label("is_ready")).select_from(asked)
)
"""The hot one: R1 by one probe of the ready intervals. Questions about unknown sources get no row."""


_asked = _materialized(
    select(
        question.c.n,
        source.c.id.label("source_id"),
        question.c.interval_start,
        question.c.interval_end,
        question.c.published_after,
    ).select_from(asked),
    "asked",
)
_reach_of_question = _reach(_asked, "reach")
_blocker = _materialized(
    select(
        _reach_of_question.c.n,
        _reach_of_question.c.interval_start.label("asked_start"),
        _reach_of_question.c.interval_end.label("asked_end"),
        partition,
    ).select_from(_reach_of_question.join(partition, _in_reach(_reach_of_question, STORED_BLOCKING_STATES))),
    "blocking",
)


_COMMON = {
    "now": DatabaseNow(),
    "provider_name": provider.c.name,
    **{each.name: each for each in PARTITION_COLUMNS},
}
_OF_EXPLANATION = {"n": question.c.n, "as_of": event.c.position, **_COMMON}


def _row(kind: str, columns: Mapping[str, Column], known: Mapping[str, Column]) -> list[Column]:
    """A row of a union of different kinds of rows; the columns that are not known are NULL."""
    return [
        literal(kind).label("kind"),
        *[known.get(name, cast(null(), each.type)).label(name) for name, each in columns.items()],
    ]


def _explanation(kind: str, rows: FromClause, **known: Column) -> list[Column]:
    interval = {name: rows.c[name] for name in ("n", "interval_start", "interval_end")}
    return _row(kind, _OF_EXPLANATION, interval | known)


def _asked_rows() -> Select:
    return select(*_explanation("asked", _asked, as_of=_as_of(_asked.c.source_id), now=DatabaseNow()))


def _ready_rows() -> Select:
    ready = (
        select(_asked.c.n, ready_interval.c.interval_start, ready_interval.c.interval_end)
        .select_from(_asked.join(ready_interval, _ready_intervals_of(_asked)))
        .subquery()
    )
    return select(*_explanation("published", ready))


def _blocker_rows() -> Select:
    details = {each.name: _blocker.c[each.name] for each in PARTITION_COLUMNS}
    return select(*_explanation("blocker", _blocker, provider_name=provider.c.name, **details)).select_from(
        _blocker.join(provider, provider.c.id == _blocker.c.provider_id)
    )


def _published_rows(reach: FromClause, *conditions: Column) -> FromClause:
    """The union of the ready partitions in reach, per question."""
    found = and_(_in_reach(reach, READY_STATES), *conditions)
    return _merged(
        select(reach.c.n, partition.c.interval_start, partition.c.interval_end).select_from(
            reach.join(partition, found)
        )
    ).subquery()


def _published_under_blockers() -> Select:
    """What is published inside the question although blockers keep it from being ready: no gap there."""
    later_start = case(
        (_blocker.c.interval_start > _blocker.c.asked_start, _blocker.c.interval_start),
        else_=_blocker.c.asked_start,
    )
    earlier_end = case(
        (_blocker.c.interval_end < _blocker.c.asked_end, _blocker.c.interval_end), else_=_blocker.c.asked_end
    )
    blocked = select(
        _blocker.c.n,
        _blocker.c.source_id,
        later_start.label("interval_start"),
        earlier_end.label("interval_end"),
    ).subquery("blocked")
    return select(*_explanation("published", _published_rows(_reach(blocked, "reach_of_blocker"))))


def _fresh_rows() -> Select:
    """What was published at or after ``published_after`` (R8)."""
    is_fresh = partition.c.published_at >= _reach_of_question.c.published_after
    return select(*_explanation("fresh", _published_rows(_reach_of_question, is_fresh)))


_EXPLANATION = (_asked_rows(), _ready_rows(), _blocker_rows(), _published_under_blockers())

EXPLAIN = QuestionStatement(union_all(*_EXPLANATION))
"""Everything that an answer needs, as rows of three kinds: asked, published, blocker. One statement, so that all
of it belongs to one moment."""

EXPLAIN_FRESHNESS = QuestionStatement(union_all(*_EXPLANATION, _fresh_rows()))
"""The same for questions with ``published_after``: further rows of the kind fresh."""


claim = table(
    "claim",
    column("source_id", source.c.id.type),
    column("provider_name", Text),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
)
"""What a writer lays claim to: a partition, whether or not it is registered."""

_OF_CLAIM = {"provider_id": provider.c.id, "granted": grant.c.source_id, **_COMMON}


def _own_rows() -> Select:
    granted = and_(grant.c.source_id == claim.c.source_id, grant.c.provider_id == provider.c.id)
    registered = and_(
        partition.c.source_id == claim.c.source_id,
        partition.c.interval_start == claim.c.interval_start,
        partition.c.interval_end == claim.c.interval_end,
        partition.c.provider_id == provider.c.id,
    )
    known = _OF_CLAIM | {name: partition.c[name] for name in ("interval_start", "interval_end")}
    return select(*_row("own", _OF_CLAIM, known)).select_from(
        claim.join(provider, provider.c.name == claim.c.provider_name)
        .outerjoin(grant, granted)
        .outerjoin(partition, registered)
    )


def _rows_of_ready_intervals() -> Select:
    known = {name: ready_interval.c[name] for name in ("interval_start", "interval_end")}
    return select(*_row("ready", _OF_CLAIM, known)).select_from(
        claim.join(ready_interval, _ready_intervals_of(claim))
    )


def _neighbour_rows() -> Select:
    reach = _reach(claim, "reach")
    known = {name: each for name, each in _OF_CLAIM.items() if name not in ("granted", "now")}
    return select(*_row("neighbour", _OF_CLAIM, known)).select_from(
        reach.join(partition, _in_reach(reach, STORED_BLOCKING_STATES)).join(
            provider, provider.c.id == partition.c.provider_id
        )
    )


LOOK_AROUND = ValuesStatement(claim, union_all(_own_rows(), _rows_of_ready_intervals(), _neighbour_rows()))
"""Everything that a writer needs to know before it changes a partition, as rows of three kinds: own (the provider, its
grant, and the partition if it is registered; no row for an unknown provider), ready (the ready intervals that touch
it), and neighbour (the partitions that overlap it and are locked or failed, itself among them)."""


withdrawn = table(
    "withdrawn",
    column("n", Integer),
    column("source_id", source.c.id.type),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
    column("partition_id", partition.c.id.type),
)
"""A partition that neither covers nor blocks any more."""

_reach_of_withdrawn = _reach(withdrawn, "reach")
PUBLISHED_BY_OTHERS = ValuesStatement(
    withdrawn,
    select(_published_rows(_reach_of_withdrawn, partition.c.id != _reach_of_withdrawn.c.partition_id)),
)
"""The union of the other ready partitions that overlap it, which is what it leaves behind."""
