"""What can be seen row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Table, and_, case, func, or_, select, true
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.sql.database.types import UtcInstant
from airflow_provider_partition_registry.store.sql.maintenance.verification.details import MapsTexts
from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    SHOWN_AT_MOST,
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
    show_instant,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.recomputation import (
    is_instant,
    is_sound,
    raw,
)
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    longest_of,
    metadata,
    partition,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    READY_STATES,
    STORED_BLOCKING_STATES,
)

LARGEST_LENGTH_CLASS = 20
STORED_STATES = (*READY_STATES, *STORED_BLOCKING_STATES, PartitionState.REGISTERED.value)

Column = ColumnElement


class Check(NamedTuple):
    """A statement that selects ``name, total, example`` per source with something wrong."""

    kind: DiscrepancyKind
    what: str
    statement: Select
    show: Callable[[int], str]

    def run(self, connection: Connection) -> list[Discrepancy]:
        """What it finds, per source."""
        rows = connection.execute(self.statement).all()
        return [
            discrepancy(self.kind, row.name, self.what, row.total, [self.show(row.example)]) for row in rows
        ]


def per_source(rows: FromClause, example: Column, condition: Column, *, also_of_none: bool = False) -> Select:
    """What a :class:`Check` needs: how many of the rows, and the least example among them.

    :param also_of_none: count also the rows that are of no source.
    """
    return (
        select(source.c.name, func.count().label("total"), func.min(example).label("example"))
        .select_from(rows.join(source, source.c.id == rows.c.source_id, isouter=also_of_none))
        .where(condition)
        .group_by(source.c.name)
        .order_by(source.c.name)
    )


_length = raw(partition.c.interval_end) - raw(partition.c.interval_start)
# The same classes as tables.length_class_of(): class n holds 8**(n - 1) to 8**n - 1 microseconds.
CLASS_OF_LENGTH = case(
    *[(_length < longest_of(number), number) for number in range(1, LARGEST_LENGTH_CLASS)],
    else_=LARGEST_LENGTH_CLASS,
)
_used_classes = (
    select(partition.c.source_id, CLASS_OF_LENGTH.label("length_class")).where(is_sound(partition)).distinct()
)


def _missing_classes() -> Select:
    used = _used_classes.subquery()
    kept = and_(
        length_class.c.source_id == used.c.source_id, length_class.c.length_class == used.c.length_class
    )
    missing = (
        select(used).select_from(used.outerjoin(length_class, kept)).where(length_class.c.source_id.is_(None))
    ).subquery()
    return per_source(missing, missing.c.length_class, true())


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
    return per_source(wrong, wrong.c.length_class, true())


def _split_rows() -> Select:
    """Ready intervals that begin where an earlier one has not ended before: they overlap or touch."""
    reached = func.max(raw(ready_interval.c.interval_end)).over(
        partition_by=ready_interval.c.source_id, order_by=ready_interval.c.interval_start, rows=(None, -1)
    )
    start = raw(ready_interval.c.interval_start).label("interval_start")
    each = (
        select(ready_interval.c.source_id, start, reached.label("reached")).where(is_sound(ready_interval))
    ).subquery()
    return per_source(each, each.c.interval_start, each.c.reached >= each.c.interval_start)


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
        _former_columns_contradict_the_state(),
    )


def _former_columns_contradict_the_state() -> Column:
    """What a release gives back is kept of what is locked alone; who released, of what is locked no more."""
    state, published_at = partition.c.former_state, partition.c.former_published_at
    changed_at, reason = partition.c.former_changed_at, partition.c.former_reason
    is_locked = partition.c.state == PartitionState.LOCKED.value
    return or_(
        and_(state.is_not(None), or_(~is_locked, changed_at.is_(None))),
        and_(state.is_(None), or_(*[column.is_not(None) for column in (changed_at, published_at, reason)])),
        state.not_in([each for each in STORED_STATES if each != PartitionState.LOCKED.value]),
        (state == PartitionState.READY.value) != published_at.is_not(None),
        and_(state == PartitionState.FAILED.value, reason.is_(None)),
        and_(partition.c.released_by.is_not(None), or_(is_locked, partition.c.holder.is_not(None))),
    )


def show_partition(partition_id: int) -> str:
    """Which partition, for people."""
    return f"partition id {partition_id}"


def _class(number: int) -> str:
    return f"class {number}"


def _row_at(microseconds: int) -> str:
    return f"the one from {show_instant(microseconds)}"


def _of_partitions(condition: Column) -> Select:
    return per_source(partition, partition.c.id, condition)


CHECKS = (
    Check(
        DiscrepancyKind.PARTITION_INTERVAL,
        "partitions that end before they start, or outside the years 1 to 9999",
        _of_partitions(~is_sound(partition)),
        show_partition,
    ),
    Check(
        DiscrepancyKind.PARTITION_STATE,
        f"partitions whose state is none of {', '.join(sorted(STORED_STATES))}",
        _of_partitions(partition.c.state.not_in(STORED_STATES)),
        show_partition,
    ),
    Check(
        DiscrepancyKind.PARTITION_COLUMNS,
        "partitions whose holder, reason, generation or publishing time contradicts their state",
        _of_partitions(_columns_that_contradict_the_state()),
        show_partition,
    ),
    Check(
        DiscrepancyKind.PARTITION_DETAILS,
        "partitions whose holder's details are no texts",
        _of_partitions(and_(partition.c.holder_details.is_not(None), ~MapsTexts(partition.c.holder_details))),
        show_partition,
    ),
    Check(
        DiscrepancyKind.PARTITION_LENGTH_CLASS,
        "partitions in a class that their length does not belong to",
        _of_partitions(and_(is_sound(partition), partition.c.length_class != CLASS_OF_LENGTH)),
        show_partition,
    ),
    Check(
        DiscrepancyKind.LENGTH_CLASS_MISSING,
        "classes of lengths that its partitions have, but are not kept",
        _missing_classes(),
        _class,
    ),
    Check(
        DiscrepancyKind.LENGTH_CLASS_WRONG,
        "classes of lengths that no partition has, or with a wrong greatest length",
        _wrong_classes(),
        _class,
    ),
    Check(
        DiscrepancyKind.READY_INTERVAL_MALFORMED,
        "ready intervals that end before they start, or outside the years 1 to 9999",
        per_source(ready_interval, raw(ready_interval.c.interval_start), ~is_sound(ready_interval)),
        _row_at,
    ),
    Check(
        DiscrepancyKind.READY_INTERVAL_SPLIT,
        "ready intervals that overlap or touch another instead of being one with it",
        _split_rows(),
        _row_at,
    ),
)


def find_damaged_pages(connection: Connection) -> list[Discrepancy]:
    """Whether SQLite's file holds together: that of a copy made beside a writer may not."""
    if connection.dialect.name != "sqlite":
        return []
    told = connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN_AT_MOST})").scalars().all()
    if told == ["ok"]:
        return []
    what = "the file is damaged, as a copy is that was made while somebody wrote; SQLite says"
    return [discrepancy(DiscrepancyKind.FILE_DAMAGED, None, what, len(told), list(told))]


def find_dangling_references(connection: Connection) -> list[Discrepancy]:
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
                found.append(discrepancy(DiscrepancyKind.DANGLING_REFERENCE, None, what, count))
    return found


def find_impossible_instants(connection: Connection) -> list[Discrepancy]:
    """Instants that no calendar has. Those of intervals belong to checks of their own."""
    found = []
    for table in metadata.sorted_tables:
        columns = _instants_of(table)
        impossible = [func.count(case((~is_instant(each), 1))) for each in columns]
        counts = connection.execute(select(*impossible)).one() if columns else ()
        for each, count in zip(columns, counts, strict=True):
            if count:
                what = f"rows in {table.name} whose {each.name} lies outside the years 1 to 9999"
                found.append(discrepancy(DiscrepancyKind.INSTANT, None, what, count))
    return found


def _instants_of(table: Table) -> list[Column]:
    of_interval = ("interval_start", "interval_end")
    return [each for each in table.c if isinstance(each.type, UtcInstant) and each.name not in of_interval]
