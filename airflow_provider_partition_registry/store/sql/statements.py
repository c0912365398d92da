"""The statements that answer questions and find overlaps. Each has a name, a purpose, and its home here."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, case, cast, false, func, literal, null, select, union_all
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.questions import QuestionStatement, question
from airflow_provider_partition_registry.store.sql.rows import PARTITION_COLUMNS
from airflow_provider_partition_registry.store.sql.tables import (
    event,
    length_class,
    partition,
    provider,
    ready_interval,
    source,
)

STORED_BLOCKING_STATES = (PartitionState.LOCKED.value, PartitionState.FAILED.value)
"""The blocking states as they are stored: an expired lock is stored as locked."""

READY_STATES = (PartitionState.READY.value,)

Column = ColumnElement
asked = question.join(source, source.c.name == question.c.source_name)
as_of = func.coalesce(
    select(event.c.position)
    .where(event.c.source_id == source.c.id)
    .order_by(event.c.position.desc())
    .limit(1)
    .scalar_subquery(),
    0,
)


def _partitions_in(start: Column, end: Column, states: Sequence[str], part: FromClause, length: FromClause) -> Column:
    """Join condition: partitions of the source in one of the states that overlap ``[start, end)``.

    ``part`` stands for the partitions, ``length`` for the source's classes of lengths: per class the look-up is one
    range of the index, however long the history.
    """
    return and_(
        length.c.source_id == source.c.id,
        part.c.source_id == length.c.source_id,
        part.c.state.in_(states),
        part.c.length_class == length.c.length_class,
        part.c.interval_start > start - length.c.longest,
        part.c.interval_start < end,
        part.c.interval_end > start,
    )


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


def _ready_intervals_at(start: Column, end: Column) -> Column:
    """Condition: ready intervals of the source that overlap or touch ``[start, end]``.

    They are disjoint, so of those that begin at or before ``start`` only the last can reach it.
    """
    earlier = ready_interval.alias("earlier")
    last_before = (
        select(func.max(earlier.c.interval_start))
        .where(earlier.c.source_id == source.c.id, earlier.c.interval_start <= start)
        .scalar_subquery()
    )
    return and_(
        ready_interval.c.source_id == source.c.id,
        ready_interval.c.interval_start >= func.coalesce(last_before, start),
        ready_interval.c.interval_start <= end,
        ready_interval.c.interval_end >= start,
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
    select(question.c.n, as_of.label("as_of"), _is_ready().label("is_ready")).select_from(asked)
)
"""The hot one: R1 by one probe of the ready intervals. Questions about unknown sources get no row."""


_DETAILS = [column for column in PARTITION_COLUMNS if column.name not in ("interval_start", "interval_end")]
_blocker, _blocker_length = partition.alias("blocker"), length_class.alias("blocker_length")
_published, _published_length = partition.alias("published"), length_class.alias("published_length")


def _row(kind: str, n: Column, start: Column, end: Column, **known: Column) -> list[Column]:
    """A row of the explanation; of the columns for blockers those that are not known are NULL."""
    columns: list[Column] = [n.label("n"), literal(kind).label("kind"), start.label("interval_start"), end.label("interval_end")]
    padded = {
        "as_of": event.c.position,
        "now": DatabaseNow(),
        "provider_name": provider.c.name,
        **{each.name: each for each in _DETAILS},
    }
    columns += [known.get(name, cast(null(), each.type)).label(name) for name, each in padded.items()]
    return columns


def _asked_rows() -> Select:
    return select(
        *_row(
            "asked", question.c.n, question.c.interval_start, question.c.interval_end, as_of=as_of, now=DatabaseNow()
        )
    ).select_from(asked)


def _ready_rows() -> Select:
    found = _ready_intervals_at(question.c.interval_start, question.c.interval_end)
    return select(
        *_row("published", question.c.n, ready_interval.c.interval_start, ready_interval.c.interval_end)
    ).select_from(asked.join(ready_interval, found))


def _blocker_rows() -> Select:
    found = _blockers_of_the_question()
    details = {each.name: _blocker.c[each.name] for each in _DETAILS}
    return select(
        *_row(
            "blocker",
            question.c.n,
            _blocker.c.interval_start,
            _blocker.c.interval_end,
            provider_name=provider.c.name,
            **details,
        )
    ).select_from(
        asked.join(_blocker_length, _blocker_length.c.source_id == source.c.id)
        .join(_blocker, found)
        .join(provider, provider.c.id == _blocker.c.provider_id)
    )


def _blockers_of_the_question() -> Column:
    return _partitions_in(
        question.c.interval_start, question.c.interval_end, STORED_BLOCKING_STATES, _blocker, _blocker_length
    )


def _published_of_the_question() -> Column:
    return _partitions_in(
        question.c.interval_start, question.c.interval_end, READY_STATES, _published, _published_length
    )


def _published_under_blockers() -> Select:
    """What is published inside the question although blockers keep it from being ready: no gap there."""
    found = and_(
        _partitions_in(
            _blocker.c.interval_start, _blocker.c.interval_end, READY_STATES, _published, _published_length
        ),
        _published.c.interval_start > question.c.interval_start - _published_length.c.longest,
        _published.c.interval_start < question.c.interval_end,
        _published.c.interval_end > question.c.interval_start,
    )
    rows = select(question.c.n, _published.c.interval_start, _published.c.interval_end).select_from(
        asked.join(_blocker_length, _blocker_length.c.source_id == source.c.id)
        .join(_blocker, _blockers_of_the_question())
        .join(_published_length, _published_length.c.source_id == source.c.id)
        .join(_published, found)
    )
    each = _merged(rows).subquery()
    return select(*_row("published", each.c.n, each.c.interval_start, each.c.interval_end))


def _fresh_rows() -> Select:
    """What was published at or after ``published_after`` (R8)."""
    found = and_(
        _published_of_the_question(), _published.c.published_at >= question.c.published_after
    )
    rows = select(question.c.n, _published.c.interval_start, _published.c.interval_end).select_from(
        asked.join(_published_length, _published_length.c.source_id == source.c.id).join(_published, found)
    )
    each = _merged(rows).subquery()
    return select(*_row("fresh", each.c.n, each.c.interval_start, each.c.interval_end))


EXPLAIN = QuestionStatement(
    union_all(_asked_rows(), _ready_rows(), _blocker_rows(), _published_under_blockers(), _fresh_rows())
)
"""Everything that an answer needs, as rows of four kinds: asked, published, blocker, fresh. One statement, so that
all of it belongs to one moment."""


SURROUNDINGS = QuestionStatement(union_all(_ready_rows(), _blocker_rows()))
"""What a writer needs to know around its interval: the ready intervals that touch it, and the blockers in it."""


def _published_rows() -> Select:
    rows = select(question.c.n, _published.c.interval_start, _published.c.interval_end).select_from(
        asked.join(_published_length, _published_length.c.source_id == source.c.id).join(
            _published, _published_of_the_question()
        )
    )
    each = _merged(rows).subquery()
    return select(*_row("published", each.c.n, each.c.interval_start, each.c.interval_end))


CONTENTS = QuestionStatement(union_all(_published_rows(), _blocker_rows()))
"""What the ready intervals inside an interval follow from: the union of its ready partitions, and its blockers."""
