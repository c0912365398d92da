"""The form of a check, and the checks of partitions and of what is derived from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import and_, func, select, true
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, FromClause, Select

from airflow_provider_partition_registry.store.sql.maintenance.verification.discrepancies import (
    Discrepancy,
    DiscrepancyKind,
    discrepancy,
    show_instant,
)
from airflow_provider_partition_registry.store.sql.maintenance.verification.recomputation import raw
from airflow_provider_partition_registry.store.sql.schema.tables import (
    length_class,
    metadata,
    partition,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.details import MapsTexts

Column = ColumnElement


class Check(NamedTuple):
    """A statement that selects ``name, total, example`` for each source with something wrong."""

    kind: DiscrepancyKind
    what: str
    statement: Select
    show: Callable[[int], str]

    def run(self, connection: Connection) -> list[Discrepancy]:
        """The discrepancies it finds, per source."""
        rows = connection.execute(self.statement).all()
        return [
            discrepancy(self.kind, row.name, self.what, row.total, [self.show(row.example)]) for row in rows
        ]


def per_source(rows: FromClause, example: Column, condition: Column, *, also_of_none: bool = False) -> Select:
    """The statement of a :class:`Check`: how many rows there are per source, and the least example among them.

    :param also_of_none: count rows without a source as well.
    """
    return (
        select(source.c.name, func.count().label("total"), func.min(example).label("example"))
        .select_from(rows.join(source, source.c.id == rows.c.source_id, isouter=also_of_none))
        .where(condition)
        .group_by(source.c.name)
        .order_by(source.c.name)
    )


_used_classes = select(partition.c.source_id, partition.c.length_class).distinct()


def _missing_classes() -> Select:
    used = _used_classes.subquery()
    kept = and_(
        length_class.c.source_id == used.c.source_id, length_class.c.length_class == used.c.length_class
    )
    missing = (
        select(used).select_from(used.outerjoin(length_class, kept)).where(length_class.c.source_id.is_(None))
    ).subquery()
    return per_source(missing, missing.c.length_class, true())


def _unused_classes() -> Select:
    used = _used_classes.subquery()
    in_use = and_(
        length_class.c.source_id == used.c.source_id, length_class.c.length_class == used.c.length_class
    )
    unused = (
        select(length_class.c.source_id, length_class.c.length_class)
        .select_from(length_class.outerjoin(used, in_use))
        .where(used.c.source_id.is_(None))
    ).subquery()
    return per_source(unused, unused.c.length_class, true())


def _split_rows() -> Select:
    """Ready intervals that overlap or touch an earlier one."""
    reached = func.max(raw(ready_interval.c.interval_end)).over(
        partition_by=ready_interval.c.source_id, order_by=ready_interval.c.interval_start, rows=(None, -1)
    )
    start = raw(ready_interval.c.interval_start).label("interval_start")
    each = select(ready_interval.c.source_id, start, reached.label("reached")).subquery()
    return per_source(each, each.c.interval_start, each.c.reached >= each.c.interval_start)


def _details_are_no_texts() -> Column:
    details = partition.c.holder_details
    return and_(details.is_not(None), ~MapsTexts(details))


def show_partition(partition_id: int) -> str:
    """How messages name a partition."""
    return f"partition id {partition_id}"


def _class(number: int) -> str:
    return f"class {number}"


def _row_at(microseconds: int) -> str:
    return f"the one from {show_instant(microseconds)}"


CHECKS = (
    Check(
        DiscrepancyKind.PARTITION_DETAILS,
        "partitions whose holder's details are no texts",
        per_source(partition, partition.c.id, _details_are_no_texts()),
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
        "classes of lengths that no partition has",
        _unused_classes(),
        _class,
    ),
    Check(
        DiscrepancyKind.READY_INTERVAL_SPLIT,
        "ready intervals that overlap or touch another instead of being one with it",
        _split_rows(),
        _row_at,
    ),
)


def find_dangling_references(connection: Connection) -> list[Discrepancy]:
    """Rows that name a source or provider that does not exist, which enforced foreign keys prevent."""
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
