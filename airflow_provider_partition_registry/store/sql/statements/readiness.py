"""The statements that answer questions, each with a name and a purpose."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import (
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    partition,
    provider,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    READY_STATES,
    STORED_BLOCKING_STATES,
    materialized,
    merged,
    overlapping,
    reach,
    ready_intervals_of,
)
from airflow_provider_partition_registry.store.sql.statements.positions import as_of
from airflow_provider_partition_registry.store.sql.statements.questions import QuestionStatement, question
from airflow_provider_partition_registry.store.sql.statements.rows import PARTITION_COLUMNS

Column = ColumnElement
asked = question.join(source, source.c.name == question.c.source_name)


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


_is_first_of_source = func.row_number().over(partition_by=source.c.id) == 1

ARE_READY = QuestionStatement(
    select(
        question.c.n,
        # It is the same for all questions about a source, and takes longer to find than whether one is ready.
        case((_is_first_of_source, as_of(source.c.id))).label("as_of"),
        _is_ready().label("is_ready"),
    ).select_from(asked)
)
"""The hot path: R1 by one probe of the ready intervals. Only one of the questions about a source gets its ``as_of``;
those about unknown sources get no row."""


_asked = materialized(
    select(
        question.c.n,
        source.c.id.label("source_id"),
        source.c.name.label("source_name"),
        question.c.interval_start,
        question.c.interval_end,
        question.c.published_after,
        question.c.asked_at,
        question.c.is_explained,
        _is_ready().label("is_ready"),
    ).select_from(asked),
    "asked",
)
# The probe ignores publishing times (R8); questions that ask for them are always looked at closely.
_needs_a_close_look = or_(
    _asked.c.published_after.is_not(None), and_(_asked.c.is_explained, not_(_asked.c.is_ready))
)
_unsettled = materialized(select(_asked).where(_needs_a_close_look), "unsettled")
_reach_of_question = reach(_unsettled, "reach")
_blocker = materialized(
    select(
        _reach_of_question.c.n,
        _reach_of_question.c.interval_start.label("asked_start"),
        _reach_of_question.c.interval_end.label("asked_end"),
        partition,
    ).select_from(overlapping(_reach_of_question, STORED_BLOCKING_STATES)),
    "blocking",
)


COMMON = {
    "now": DatabaseNow(),
    "provider_name": provider.c.name,
    **{each.name: each for each in PARTITION_COLUMNS},
}
_OF_EXPLANATION = {
    "n": question.c.n,
    "is_ready": _asked.c.is_ready,
    "source_name": source.c.name,
    "as_of": event.c.position,
    **COMMON,
}


def row_of_kind(kind: str, columns: Mapping[str, Column], known: Mapping[str, Column]) -> list[Column]:
    """A row in a union of different kinds of rows; columns that are not given are NULL."""
    return [
        literal(kind).label("kind"),
        *[known.get(name, cast(null(), each.type)).label(name) for name, each in columns.items()],
    ]


def _explanation(kind: str, rows: FromClause, **known: Column) -> list[Column]:
    interval = {name: rows.c[name] for name in ("n", "interval_start", "interval_end")}
    return row_of_kind(kind, _OF_EXPLANATION, interval | known)


def _source_rows() -> Select:
    rows = select(_asked.c.source_id, _asked.c.source_name).distinct().subquery()
    known = {"source_name": rows.c.source_name, "as_of": as_of(rows.c.source_id), "now": DatabaseNow()}
    return select(*row_of_kind("source", _OF_EXPLANATION, known))


def _settled_rows() -> Select:
    known = {"n": _asked.c.n, "is_ready": _asked.c.is_ready}
    return select(*row_of_kind("settled", _OF_EXPLANATION, known)).where(not_(_needs_a_close_look))


def _ready_rows() -> Select:
    ready = (
        select(_unsettled.c.n, ready_interval.c.interval_start, ready_interval.c.interval_end)
        .select_from(_unsettled.join(ready_interval, ready_intervals_of(_unsettled)))
        .subquery()
    )
    return select(*_explanation("published", ready))


def _blocker_rows() -> Select:
    details = {each.name: _blocker.c[each.name] for each in PARTITION_COLUMNS}
    return select(*_explanation("blocker", _blocker, provider_name=provider.c.name, **details)).select_from(
        _blocker.join(provider, provider.c.id == _blocker.c.provider_id)
    )


def published_rows(rows: FromClause, *conditions: Column) -> FromClause:
    """The union of the ready partitions in reach, per question."""
    found = overlapping(rows, READY_STATES, *conditions)
    return merged(
        select(rows.c.n, partition.c.interval_start, partition.c.interval_end).select_from(found)
    ).subquery()


def _published_under_blockers() -> Select:
    """What is published inside the question although blockers keep it from being ready: not a gap."""
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
    return select(*_explanation("published", published_rows(reach(blocked, "reach_of_blocker"))))


def _fresh_rows() -> Select:
    """What was published at or after ``published_after`` (R8).

    A publishing time in the future proves nothing: the clock was ahead when the data was published.
    """
    after = _reach_of_question.c.published_after
    present = func.coalesce(_reach_of_question.c.asked_at, DatabaseNow())
    is_fresh = (
        after.is_not(None),
        partition.c.published_at >= after,
        partition.c.published_at <= present,
    )
    return select(*_explanation("fresh", published_rows(_reach_of_question, *is_fresh)))


_EXPLANATION = (_source_rows(), _settled_rows(), _ready_rows(), _blocker_rows(), _published_under_blockers())

EXPLAIN = QuestionStatement(union_all(*_EXPLANATION))
"""Everything that the answers need, as rows of four kinds: source; settled, for a question that the probe answers
completely; published and blocker, for the others. It is one statement, so that all of it belongs to one moment."""

EXPLAIN_FRESHNESS = QuestionStatement(union_all(*_EXPLANATION, _fresh_rows()))
"""The same for questions with ``published_after``, with further rows of the kind fresh."""
