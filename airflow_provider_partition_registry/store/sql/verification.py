"""Verification: that what is derived follows from the partitions, and that the rows keep the rules.

The answer is computed from the partitions alone: in another way than the one that maintains the derived
tables, and inside the database, so that a million partitions travel nowhere. Verifying sees one moment and
holds up nobody; repairing takes the lock of one source at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    true,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.errors import SchemaMissingError
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql import schema
from airflow_provider_partition_registry.store.sql.claim import lock_source
from airflow_provider_partition_registry.store.sql.engine import Database
from airflow_provider_partition_registry.store.sql.statements import READY_STATES, STORED_BLOCKING_STATES
from airflow_provider_partition_registry.store.sql.tables import (
    event,
    history,
    length_class,
    longest_of,
    metadata,
    partition,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.types import from_microseconds, to_microseconds

SHOWN_AT_MOST = 5
LARGEST_LENGTH_CLASS = 20
STORED_STATES = (*READY_STATES, *STORED_BLOCKING_STATES, PartitionState.REGISTERED.value)
EARLIEST = to_microseconds(datetime.min.replace(tzinfo=UTC))
LATEST = to_microseconds(datetime.max.replace(tzinfo=UTC))

Column = ColumnElement


class DiscrepancyKind(StrEnum):
    """What is wrong. Stable: ``partition-registry db verify --json`` prints it."""

    READY_INTERVAL_MISSING = "ready_interval_missing"
    READY_INTERVAL_WRONG = "ready_interval_wrong"
    READY_INTERVAL_SPLIT = "ready_interval_split"
    READY_INTERVAL_MALFORMED = "ready_interval_malformed"
    LENGTH_CLASS_MISSING = "length_class_missing"
    LENGTH_CLASS_WRONG = "length_class_wrong"
    PARTITION_LENGTH_CLASS = "partition_length_class"
    PARTITION_INTERVAL = "partition_interval"
    PARTITION_STATE = "partition_state"
    PARTITION_COLUMNS = "partition_columns"
    HISTORY_COUNTER = "history_counter"
    HISTORY_GAP = "history_gap"
    DANGLING_REFERENCE = "dangling_reference"


REPAIRABLE = frozenset(
    {
        DiscrepancyKind.READY_INTERVAL_MISSING,
        DiscrepancyKind.READY_INTERVAL_WRONG,
        DiscrepancyKind.READY_INTERVAL_SPLIT,
        DiscrepancyKind.READY_INTERVAL_MALFORMED,
        DiscrepancyKind.LENGTH_CLASS_MISSING,
        DiscrepancyKind.LENGTH_CLASS_WRONG,
        DiscrepancyKind.PARTITION_LENGTH_CLASS,
        DiscrepancyKind.HISTORY_COUNTER,
    }
)
"""What follows from other rows and can be computed anew. The rest is lost; a person has to decide."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is wrong, however often.

    :param source_name: the source it is about; None if it is about the whole registry.
    :param description: a sentence for people.
    :param count: how many rows or intervals.
    :param examples: the first few of them.
    """

    kind: DiscrepancyKind
    source_name: str | None
    description: str
    count: int
    is_repairable: bool
    examples: tuple[str, ...] = ()


def verify(database: Database) -> list[Discrepancy]:
    """Compare what is derived with what the partitions say, as of one moment; no writer waits for it.

    :return: what is wrong; empty when all is well.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    _require_registry(database)
    return database.read(_verify)


def repair(database: Database) -> list[Discrepancy]:
    """Compute anew whatever follows from other rows and is wrong, each source in a transaction of its own.

    :return: what was wrong and has been set right. What cannot be repaired stays, and :func:`verify` goes on
        reporting it.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    wrong = [each for each in verify(database) if each.is_repairable]
    for source_name in sorted({each.source_name for each in wrong if each.source_name is not None}):
        database.write(partial(_repair_source, source_name=source_name))
    if any(each.kind is DiscrepancyKind.HISTORY_COUNTER for each in wrong):
        database.write(_repair_history)
    return wrong


def _require_registry(database: Database) -> None:
    # schema.check() would create a SQLite registry where there is none, and call the empty one sound.
    if schema.current(database) is None:
        raise SchemaMissingError(database.name)
    schema.check(database)


def _verify(connection: Connection) -> list[Discrepancy]:
    with _one_moment(connection):
        found = [
            *_dangling_references(connection),
            *_history(connection),
            *(each for check in _CHECKS for each in check.run(connection)),
        ]
        sources = connection.execute(select(source.c.id, source.c.name).order_by(source.c.name)).all()
        for row in sources:
            found += _ready_intervals(connection, row.id, row.name)
    return found


@contextmanager
def _one_moment(connection: Connection) -> Iterator[None]:
    """Let all statements see one snapshot and take the time they need; no writer waits for it."""
    if connection.dialect.name == "sqlite":
        begin = ["BEGIN"]
    else:
        begin = [
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "SET LOCAL statement_timeout = 0",
            "SET LOCAL idle_in_transaction_session_timeout = 0",
        ]
    try:
        for statement in begin:
            connection.exec_driver_sql(statement)
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()  # an open transaction must not go back into the pool
        raise


# --- Ready intervals: R1 by sweeping over the instants at which anything starts or ends ---


def _raw(column: Column) -> Column:
    """The microseconds of an instant, which may be none that Python knows."""
    return type_coerce(column, BigInteger())


def _is_sound(rows: FromClause) -> Column:
    start, end = _raw(rows.c.interval_start), _raw(rows.c.interval_end)
    return and_(start < end, start >= EARLIEST, end <= LATEST)


def _sound_rows_of_the_source(rows: FromClause, *conditions: Column) -> Column:
    return and_(rows.c.source_id == bindparam("of_source"), _is_sound(rows), *conditions)


def _union(states: Sequence[str]) -> FromClause:
    """What the partitions in one of the states cover together: a few stretches, however many they are.

    A stretch begins where no earlier partition reaches; the one before ended where they had reached.
    """
    chosen = _sound_rows_of_the_source(partition, partition.c.state.in_(states))
    start, end = _raw(partition.c.interval_start), _raw(partition.c.interval_end)
    reached = func.max(end).over(order_by=(start, end), rows=(None, -1))
    each = select(start.label("interval_start"), reached.label("reached")).where(chosen).subquery()
    begins = or_(each.c.reached.is_(None), each.c.reached < each.c.interval_start)
    last_end = select(func.max(end)).where(chosen).scalar_subquery()
    next_reached = func.lead(each.c.reached).over(order_by=each.c.interval_start)
    return (
        select(each.c.interval_start, func.coalesce(next_reached, last_end).label("interval_end"))
        .where(begins)
        .cte("_and_".join(states))
    )


def _edges(stretches: FromClause, condition: Column, **levels: int) -> list[Select]:
    """Where stretches start and end, and by how much each level rises there and falls."""
    return [
        select(
            _raw(instant).label("at"), *[literal(level * sign).label(name) for name, level in levels.items()]
        ).where(condition)
        for instant, sign in ((stretches.c.interval_start, 1), (stretches.c.interval_end, -1))
    ]


def _one_if(condition: Column) -> Column:
    return case((condition, 1), else_=0)


def _stretches(edges: list[Select], value: Callable[[Any], Column]) -> Select:
    """The longest stretches ``[start, end)`` on which a value of the levels stays the same, and is not 0."""
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
    return [
        *_edges(_union(READY_STATES), true(), covering=1, blocking=0, claiming=0),
        *_edges(_union(STORED_BLOCKING_STATES), true(), covering=0, blocking=1, claiming=0),
    ]


EXPECTED = _stretches(_partition_edges(), _is_ready)
"""The maximal ready intervals of a source, from its partitions alone (R1)."""


def _mismatches() -> Select:
    """Where the kept rows and R1 differ: value 1 where a row is missing, -1 where one is wrong."""
    kept = _sound_rows_of_the_source(ready_interval)
    edges = [*_partition_edges(), *_edges(ready_interval, kept, covering=0, blocking=0, claiming=1)]
    wrong = _stretches(edges, lambda level: _is_ready(level) - _one_if(level.claiming > 0)).subquery()
    total = func.count().over(partition_by=wrong.c.value)
    place = func.row_number().over(partition_by=wrong.c.value, order_by=wrong.c.interval_start)
    numbered = select(wrong, total.label("total"), place.label("place")).subquery()
    return select(numbered).where(numbered.c.place <= SHOWN_AT_MOST).order_by(numbered.c.interval_start)


MISMATCHES = _mismatches()
_MISMATCH_KINDS = {
    1: (DiscrepancyKind.READY_INTERVAL_MISSING, "ready by the partitions, but not kept as ready"),
    -1: (DiscrepancyKind.READY_INTERVAL_WRONG, "kept as ready, but not ready by the partitions"),
}


def _ready_intervals(connection: Connection, source_id: int, source_name: str) -> list[Discrepancy]:
    rows = connection.execute(MISMATCHES, {"of_source": source_id}).all()
    found = []
    for value, (kind, what) in _MISMATCH_KINDS.items():
        of_kind = [row for row in rows if row.value == value]
        if of_kind:
            examples = [f"[{_instant(row.interval_start)}, {_instant(row.interval_end)})" for row in of_kind]
            found.append(_discrepancy(kind, source_name, what, of_kind[0].total, examples))
    return found


# --- What can be seen row by row, of all sources at once ---


class _Check(NamedTuple):
    """A statement that selects ``name, total, example`` per source with something wrong."""

    kind: DiscrepancyKind
    what: str
    statement: Select
    show: Callable[[int], str]

    def run(self, connection: Connection) -> list[Discrepancy]:
        rows = connection.execute(self.statement).all()
        return [
            _discrepancy(self.kind, row.name, self.what, row.total, [self.show(row.example)]) for row in rows
        ]


def _per_source(rows: FromClause, example: Column, condition: Column) -> Select:
    return (
        select(source.c.name, func.count().label("total"), func.min(example).label("example"))
        .select_from(rows.join(source, source.c.id == rows.c.source_id))
        .where(condition)
        .group_by(source.c.name)
        .order_by(source.c.name)
    )


_length = _raw(partition.c.interval_end) - _raw(partition.c.interval_start)
# The same classes as tables.length_class_of(): class n holds 8**(n - 1) to 8**n - 1 microseconds.
CLASS_OF_LENGTH = case(
    *[(_length < longest_of(number), number) for number in range(1, LARGEST_LENGTH_CLASS)],
    else_=LARGEST_LENGTH_CLASS,
)
_used_classes = (
    select(partition.c.source_id, CLASS_OF_LENGTH.label("length_class"))
    .where(_is_sound(partition))
    .distinct()
)


def _missing_classes() -> Select:
    used = _used_classes.subquery()
    kept = and_(
        length_class.c.source_id == used.c.source_id, length_class.c.length_class == used.c.length_class
    )
    missing = (
        select(used).select_from(used.outerjoin(length_class, kept)).where(length_class.c.source_id.is_(None))
    ).subquery()
    return _per_source(missing, missing.c.length_class, true())


def _wrong_classes() -> Select:
    used = _used_classes.subquery()
    in_use = and_(
        length_class.c.source_id == used.c.source_id, length_class.c.length_class == used.c.length_class
    )
    right = case(
        *[
            (length_class.c.length_class == number, longest_of(number))
            for number in range(1, LARGEST_LENGTH_CLASS + 1)
        ],
        else_=-1,
    )
    wrong = (
        select(length_class.c.source_id, length_class.c.length_class)
        .select_from(length_class.outerjoin(used, in_use))
        .where(or_(used.c.source_id.is_(None), length_class.c.longest != right))
    ).subquery()
    return _per_source(wrong, wrong.c.length_class, true())


def _split_rows() -> Select:
    """Ready intervals that begin where an earlier one has not ended before: they overlap or touch."""
    reached = func.max(_raw(ready_interval.c.interval_end)).over(
        partition_by=ready_interval.c.source_id, order_by=ready_interval.c.interval_start, rows=(None, -1)
    )
    start = _raw(ready_interval.c.interval_start).label("interval_start")
    each = (
        select(ready_interval.c.source_id, start, reached.label("reached")).where(_is_sound(ready_interval))
    ).subquery()
    return _per_source(each, each.c.interval_start, each.c.reached >= each.c.interval_start)


def _columns_that_contradict_the_state() -> Column:
    is_ready = partition.c.state.in_(READY_STATES)
    state, lock = partition.c.state, (partition.c.holder, partition.c.locked_at)
    return or_(
        is_ready & partition.c.published_at.is_(None),
        ~is_ready & partition.c.published_at.is_not(None),
        and_(state == PartitionState.LOCKED.value, or_(*[column.is_(None) for column in lock])),
        and_(state == PartitionState.FAILED.value, partition.c.reason.is_(None)),
        and_(lock[0].is_not(None), or_(lock[1].is_(None), partition.c.generation < 1)),
        partition.c.generation < 0,
    )


def _partition(partition_id: int) -> str:
    return f"partition id {partition_id}"


def _class(number: int) -> str:
    return f"class {number}"


def _row_at(microseconds: int) -> str:
    return f"the one from {_instant(microseconds)}"


def _of_partitions(condition: Column) -> Select:
    return _per_source(partition, partition.c.id, condition)


_CHECKS = (
    _Check(
        DiscrepancyKind.PARTITION_INTERVAL,
        "partitions that end before they start, or outside the years 1 to 9999",
        _of_partitions(~_is_sound(partition)),
        _partition,
    ),
    _Check(
        DiscrepancyKind.PARTITION_STATE,
        f"partitions whose state is none of {', '.join(sorted(STORED_STATES))}",
        _of_partitions(partition.c.state.not_in(STORED_STATES)),
        _partition,
    ),
    _Check(
        DiscrepancyKind.PARTITION_COLUMNS,
        "partitions whose holder, reason, generation or publishing time contradicts their state",
        _of_partitions(_columns_that_contradict_the_state()),
        _partition,
    ),
    _Check(
        DiscrepancyKind.PARTITION_LENGTH_CLASS,
        "partitions in a class that their length does not belong to",
        _of_partitions(and_(_is_sound(partition), partition.c.length_class != CLASS_OF_LENGTH)),
        _partition,
    ),
    _Check(
        DiscrepancyKind.LENGTH_CLASS_MISSING,
        "classes of lengths that its partitions have, but are not kept",
        _missing_classes(),
        _class,
    ),
    _Check(
        DiscrepancyKind.LENGTH_CLASS_WRONG,
        "classes of lengths that no partition has, or with a wrong greatest length",
        _wrong_classes(),
        _class,
    ),
    _Check(
        DiscrepancyKind.READY_INTERVAL_MALFORMED,
        "ready intervals that end before they start, or outside the years 1 to 9999",
        _per_source(ready_interval, _raw(ready_interval.c.interval_start), ~_is_sound(ready_interval)),
        _row_at,
    ),
    _Check(
        DiscrepancyKind.READY_INTERVAL_SPLIT,
        "ready intervals that overlap or touch another instead of being one with it",
        _split_rows(),
        _row_at,
    ),
)


# --- What belongs to the whole registry ---


def _dangling_references(connection: Connection) -> list[Discrepancy]:
    """Rows that name a source or provider that is not there, which enforced foreign keys prevent."""
    found = []
    for child in metadata.sorted_tables:
        for key in sorted(child.foreign_keys, key=lambda each: each.parent.name):
            parent = key.column.table
            missing = (
                select(func.count())
                .select_from(child.outerjoin(parent, key.parent == key.column))
                .where(key.parent.is_not(None), key.column.is_(None))
            )
            count = connection.execute(missing).scalar_one()
            if count:
                what = f"rows in {child.name} whose {key.parent.name} is not in {parent.name}"
                found.append(_discrepancy(DiscrepancyKind.DANGLING_REFERENCE, None, what, count))
    return found


def _history(connection: Connection) -> list[Discrepancy]:
    state: Any = connection.execute(
        select(
            select(func.count()).select_from(history).scalar_subquery().label("counters"),
            select(func.max(history.c.last_position)).scalar_subquery().label("counter"),
            select(func.max(event.c.position)).scalar_subquery().label("last"),
            select(func.count()).select_from(event).scalar_subquery().label("events"),
        )
    ).one()
    counter, last = state.counter or 0, state.last or 0
    found = []
    if state.counters != 1 or counter < last:
        what = (
            f"the history's counter, {counter} in {state.counters} rows, against a last event number {last}"
        )
        found.append(_discrepancy(DiscrepancyKind.HISTORY_COUNTER, None, what, 1))
    lost = max(counter, last) - state.events
    if lost > 0:
        what = "events missing from the history, whose positions run from 1 without a gap"
        found.append(_discrepancy(DiscrepancyKind.HISTORY_GAP, None, what, lost))
    return found


# --- Repairs ---


def _repair_source(connection: Connection, source_name: str) -> None:
    _allow_time(connection)
    source_id = lock_source(connection, source_name)
    mine = partition.c.source_id == source_id
    connection.execute(
        update(partition)
        .where(mine, _is_sound(partition), partition.c.length_class != CLASS_OF_LENGTH)
        .values(length_class=CLASS_OF_LENGTH)
    )
    _rebuild_length_classes(connection, source_id)
    _rebuild_ready_intervals(connection, source_id)


def _rebuild_length_classes(connection: Connection, source_id: int) -> None:
    numbers = select(partition.c.length_class).where(partition.c.source_id == source_id, _is_sound(partition))
    used = connection.execute(numbers.distinct()).scalars().all()
    connection.execute(delete(length_class).where(length_class.c.source_id == source_id))
    if used:
        rows = [
            {"source_id": source_id, "length_class": number, "longest": longest_of(number)} for number in used
        ]
        connection.execute(insert(length_class), rows)


def _rebuild_ready_intervals(connection: Connection, source_id: int) -> None:
    expected = EXPECTED.subquery()
    rows = select(literal(source_id), expected.c.interval_start, expected.c.interval_end)
    connection.execute(delete(ready_interval).where(ready_interval.c.source_id == source_id))
    connection.execute(
        insert(ready_interval).from_select(["source_id", "interval_start", "interval_end"], rows),
        {"of_source": source_id},
    )


def _repair_history(connection: Connection) -> None:
    """Let the counter go on from the last event. Never lower it: followers would miss what comes next."""
    _allow_time(connection)
    if connection.dialect.name != "sqlite":
        # Its one row may be missing, and so cannot be locked.
        connection.execute(text(f"LOCK TABLE {history.name} IN EXCLUSIVE MODE"))
    counter = connection.execute(select(func.max(history.c.last_position))).scalar() or 0
    last = connection.execute(select(func.max(event.c.position))).scalar() or 0
    connection.execute(delete(history).where(history.c.id != 1))
    values = {"last_position": max(counter, last)}
    if connection.execute(update(history).values(values)).rowcount == 0:
        connection.execute(insert(history).values(id=1, **values))


def _allow_time(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        connection.execute(text("SET LOCAL statement_timeout = 0"))


# --- Words ---


def _discrepancy(
    kind: DiscrepancyKind, source_name: str | None, what: str, count: int, examples: list[str] | None = None
) -> Discrepancy:
    subject = "Registry" if source_name is None else f"Source {source_name!r}"
    shown = list(examples or ())
    rest = count - len(shown)
    detail = ", ".join(shown) + (f" and {rest} more" if rest else "") if shown else str(count)
    return Discrepancy(
        kind=kind,
        source_name=source_name,
        description=f"{subject}: {what}: {detail}.",
        count=count,
        is_repairable=kind in REPAIRABLE,
        examples=tuple(shown),
    )


def _instant(microseconds: int) -> str:
    try:
        return format_instant(from_microseconds(microseconds))
    except OverflowError:
        return f"{microseconds} µs after 1970"
