"""What a writer needs to know before it changes partitions, and what remains when they no longer count."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Text, and_, case, column, func, select, table, union_all
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import Select
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_partition_registry.store.sql.database.types import UtcInstant
from airflow_provider_partition_registry.store.sql.database.values import ValuesStatement
from airflow_provider_partition_registry.store.sql.schema.tables import (
    grant,
    length_class,
    partition,
    provider,
    pruning,
    ready_interval,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.overlaps import (
    STORED_BLOCKING_STATES,
    materialized,
    overlapping,
    reach,
    ready_intervals_of,
)
from airflow_provider_partition_registry.store.sql.statements.readiness import (
    COMMON,
    published_rows,
    row_of_kind,
)


class NewPartitionId(FunctionElement):
    """An id for a partition that is not registered yet, another one for each place."""

    name = "new_partition_id"
    type = partition.c.id.type
    inherit_cache = True


@compiles(NewPartitionId, "postgresql")
def _new_id_on_postgresql(element: NewPartitionId, compiler: Any, **options: Any) -> str:
    sequence = func.pg_get_serial_sequence(str(partition.name), str(partition.c.id.name))
    return str(compiler.process(func.nextval(sequence), **options))


@compiles(NewPartitionId, "sqlite")
def _new_id_on_sqlite(element: NewPartitionId, compiler: Any, **options: Any) -> str:
    (place,) = element.clauses
    last = select(func.coalesce(func.max(partition.c.id), 0)).scalar_subquery()
    return str(compiler.process(last + place, **options))


claim = table(
    "claim",
    column("place", Integer),
    column("source_name", Text),
    column("provider_name", Text),
    column("own_start", UtcInstant),
    column("own_end", UtcInstant),
    column("length_class", length_class.c.length_class.type),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
)
"""Partitions of one provider and source that a writer claims, registered or not, numbered from 1: their own intervals
and, beside them in the first rows, the intervals to look around in."""

# A row holds all that a look-up needs, as in ``overlaps.reach``.
_claimed = materialized(
    select(
        source.c.id.label("source_id"),
        provider.c.id.label("provider_id"),
        *(each for each in claim.c if each.name != "source_name"),
    ).select_from(
        claim.join(source, source.c.name == claim.c.source_name).outerjoin(
            provider, provider.c.name == claim.c.provider_name
        )
    ),
    "claimed",
)
_around = materialized(
    select(_claimed.c.source_id, _claimed.c.interval_start, _claimed.c.interval_end).where(
        _claimed.c.interval_start.is_not(None)
    ),
    "around",
)
_OF_CLAIM = {
    "source_id": _claimed.c.source_id,
    "provider_id": _claimed.c.provider_id,
    "granted": grant.c.source_id,
    "longest": length_class.c.longest,
    "former_generation": pruning.c.greatest_generation,
    **COMMON,
}


def _own_rows() -> Select:
    granted = and_(grant.c.source_id == _claimed.c.source_id, grant.c.provider_id == _claimed.c.provider_id)
    of_its_length = and_(
        length_class.c.source_id == _claimed.c.source_id,
        length_class.c.length_class == _claimed.c.length_class,
    )
    registered = and_(
        partition.c.source_id == _claimed.c.source_id,
        partition.c.interval_start == _claimed.c.own_start,
        partition.c.interval_end == _claimed.c.own_end,
        partition.c.provider_id == _claimed.c.provider_id,
    )
    its_own = {
        "id": case((partition.c.id.is_(None), NewPartitionId(_claimed.c.place)), else_=partition.c.id),
        "provider_name": _claimed.c.provider_name,
        "interval_start": _claimed.c.own_start,
        "interval_end": _claimed.c.own_end,
    }
    return select(*row_of_kind("own", _OF_CLAIM, _OF_CLAIM | its_own)).select_from(
        _claimed.outerjoin(grant, granted)
        .outerjoin(length_class, of_its_length)
        .outerjoin(partition, registered)
        .outerjoin(pruning, pruning.c.source_id == _claimed.c.source_id)
    )


def _rows_of_ready_intervals() -> Select:
    known = {name: ready_interval.c[name] for name in ("interval_start", "interval_end")}
    return select(*row_of_kind("ready", _OF_CLAIM, known)).select_from(
        _around.join(ready_interval, ready_intervals_of(_around))
    )


def _neighbour_rows() -> Select:
    known = {"provider_id": provider.c.id, **COMMON}
    found = overlapping(reach(_around, "reach"), STORED_BLOCKING_STATES)
    return select(*row_of_kind("neighbour", _OF_CLAIM, known)).select_from(
        found.join(provider, provider.c.id == partition.c.provider_id)
    )


LOOK_AROUND = ValuesStatement(claim, union_all(_own_rows(), _rows_of_ready_intervals(), _neighbour_rows()))
"""Everything that a writer needs to know before it changes partitions, as rows of three kinds: own (the source, the
provider, its grant, whether the source has partitions of that length, the greatest generation of those that were
removed from it, and the partition or the id that it gets, as far as they exist; no row for an unknown source), ready
(the ready intervals that touch the claimed), and neighbour (the partitions that overlap them and are locked or failed,
themselves among them)."""


uncovered = table(
    "uncovered",
    column("n", Integer),
    column("source_id", source.c.id.type),
    column("interval_start", UtcInstant),
    column("interval_end", UtcInstant),
)
"""An interval of a partition that no longer covers or blocks anything."""

PUBLISHED = ValuesStatement(uncovered, select(published_rows(reach(uncovered, "reach"))))
"""The union of the ready partitions that overlap it."""
