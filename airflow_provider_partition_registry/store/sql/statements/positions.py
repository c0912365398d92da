"""Positions in the history, numbered so that a reader that follows it never misses an event (R9).

On SQLite, where one transaction writes at a time, the position is a counter in ``history``.

On PostgreSQL it comes from a sequence, so that no writer waits for one of another source. A transaction that took 7 may
therefore commit after one that took 8. Within a source that cannot happen, since its writers take turns. For those who
follow all sources, a writer *announces*, before it takes a position, that it will take one after the last position
given out until then: it locks that number in shared mode, which never waits, until its transaction has ended. A
position is *settled* if no announcement is before it. Events up to there are all visible and no other can appear among
them; numbers that nobody used belong to transactions that were rolled back.

A registry that was in use before there was the sequence goes on with its counter, which former versions need, until its
upgrade is finished (``maintenance/finishing.py``). Until then positions become visible in their order, as each writer
holds the counter's row until it commits.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BigInteger,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    literal_column,
    select,
    table,
    true,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, Select
from sqlalchemy.sql.functions import FunctionElement

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    LostPositionError,
    PrunedPositionError,
)
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.store.sql.schema.tables import (
    event,
    event_position,
    history,
    pruning,
    restoration,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.overlaps import materialized

_LOW_HALF = 2**32 - 1

_sequence = table(event_position.name, column("tableoid"), column("last_value", BigInteger))
_lock = table("pg_locks", *map(column, ("locktype", "database", "classid", "objid", "objsubid")))
_database = table("pg_database", column("oid"), column("datname"))

# The lock's name is one number: the sequence in its upper half, the position in its lower one.
_announcement: ColumnElement = literal_column(
    f"(CAST(tableoid AS BIGINT) << 32) | (last_value & {_LOW_HALF})"
)


# The server begins another timeline when an older state is recovered, or a standby takes over. Aurora does not tell it.
_timeline = case(
    (
        func.to_regproc("aurora_version").is_(None),
        func.substr(func.pg_walfile_name(func.pg_current_wal_lsn()), 1, 8),
    ),
    else_="",
)
_database_number = (
    select(_database.c.oid).where(_database.c.datname == func.current_database()).scalar_subquery()
)
HOME_ON_POSTGRESQL: ColumnElement = (
    select(func.concat_ws(".", _sequence.c.tableoid, _timeline, _database_number))
    .select_from(_sequence)
    .scalar_subquery()
)
"""Where the history is, see ``changes/home.py``; every writer compares what can change under a running process."""
_is_named = and_(
    func.split_part(history.c.home, ".", 1) == cast(_sequence.c.tableoid, Text),
    func.split_part(history.c.home, ".", 2) == _timeline,
    func.split_part(history.c.home, ".", 3) == cast(_database_number, Text),
)


def next_position(how_many: ColumnElement, behind: ColumnElement) -> ColumnElement:
    """On PostgreSQL: the position of each of some events, in order, announced before the first of them is taken.

    It is NULL if the history's row is lost, or names another home.

    :param how_many: the events.
    :param behind: how many of them come after this one.
    """
    is_at_home = exists(select(history.c.id).select_from(history.join(_sequence, _is_named)))
    counted = (
        update(history)
        .where(history.c.last_position.is_not(None), is_at_home)
        .values(last_position=history.c.last_position + how_many)
        .returning(history.c.last_position)
        .cte("counted")
    )
    announced = materialized(
        select(func.pg_advisory_xact_lock_shared(_announcement).label("lock"))
        .select_from(_sequence)
        .where(~exists(select(counted.c.last_position)), is_at_home),
        "announced",
    )
    return case(
        (exists(select(announced.c.lock)), event_position.next_value()),
        else_=select(counted.c.last_position).scalar_subquery() - behind,
    )


class LastPosition(FunctionElement):
    """The last position given out; NULL if the history's row is lost."""

    name = "last_position"
    type = BigInteger()
    inherit_cache = True


@compiles(LastPosition, "postgresql")
def _last_on_postgresql(element: LastPosition, compiler: Any, **options: Any) -> str:
    last = func.coalesce(history.c.last_position, _sequence.c.last_value)
    found = select(last).select_from(history.join(_sequence, true()))
    return str(compiler.process(found.scalar_subquery(), **options))


@compiles(LastPosition, "sqlite")
def _last_on_sqlite(element: LastPosition, compiler: Any, **options: Any) -> str:
    return str(compiler.process(select(history.c.last_position).scalar_subquery(), **options))


def as_of(source_id: ColumnElement) -> ColumnElement:
    """The position of a source's last event; 0 if it has none."""
    last = (
        select(event.c.position)
        # Not "=": PostgreSQL may then go back through all sources' events until it meets one of this source.
        .where(event.c.source_id.between(source_id, source_id))
        .order_by(event.c.source_id.desc(), event.c.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(last, 0)


_LATEST_POSITIONS = select(source.c.name, as_of(source.c.id).label("position")).where(
    source.c.name.in_(bindparam("names", expanding=True))
)


def latest_positions(connection: Connection, source_names: Collection[str]) -> dict[str, int]:
    """The position of the last event of each of some sources, by source."""
    found = connection.execute(_LATEST_POSITIONS, {"names": list(source_names)})
    return {row.name: row.position for row in found}


def is_lost(position: int) -> ColumnElement:
    """Whether a position may have been given out in a part of the history that a restored backup does not have."""
    return exists(
        select(restoration.c.first_position).where(
            # The position just before the first one is where the history goes on.
            restoration.c.last_before < position,
            restoration.c.first_position > position + 1,
        )
    )


def is_pruned(position: int, source_id: ColumnElement | None = None) -> ColumnElement:
    """Whether events after a position were removed: of one source, or of any."""
    of_source = true() if source_id is None else pruning.c.source_id == source_id
    return exists(select(pruning.c.source_id).where(of_source, pruning.c.pruned_to > position))


def _settled_on_postgresql() -> Select:
    given_out = materialized(select(_sequence.c.tableoid, _sequence.c.last_value), "given_out")
    distance = (given_out.c.last_value - cast(_lock.c.objid, BigInteger)).op("&", precedence=6)(_LOW_HALF)
    # LATERAL has the sequence read before the locks. Whoever has taken a position up to ``last_value`` announced it
    # before, so by the time the locks are read its transaction has either ended or is seen there. Read the other way
    # round, one that announces and takes its position in between would be overlooked.
    announced = (
        select(func.min(given_out.c.last_value - distance).label("earliest"))
        .select_from(_lock)
        .where(
            _lock.c.locktype == "advisory",
            _lock.c.objsubid == 1,
            _lock.c.database
            == select(_database.c.oid)
            .where(_database.c.datname == func.current_database())
            .scalar_subquery(),
            _lock.c.classid == given_out.c.tableoid,
            distance <= _LOW_HALF >> 1,
        )
        .lateral("announced")
    )
    last = func.coalesce(history.c.last_position, given_out.c.last_value)
    settled = func.coalesce(history.c.last_position, announced.c.earliest, given_out.c.last_value)
    return select(settled, last).select_from(history.join(given_out, true()).join(announced, true()))


_SETTLED = {"postgresql": _settled_on_postgresql(), "sqlite": select(LastPosition(), LastPosition())}


def settled_position(connection: Connection) -> int:
    """The last position that is settled. A statement that begins after this one sees all events up to it."""
    settled, _ = _positions(connection)
    return settled


def is_settled(connection: Connection) -> bool:
    """Whether all positions that have been given out are settled."""
    settled, last = _positions(connection)
    return settled == last


def _positions(connection: Connection) -> tuple[int, int]:
    found = connection.execute(_SETTLED[connection.dialect.name]).first()
    return (0, 0) if found is None else (found[0] or 0, found[1] or 0)


def require_position(connection: Connection, position: int, source_id: ColumnElement | None = None) -> None:
    """Refuse to follow from a position that is no place in the history: of one source, or of all.

    :raises InvalidInputError: it was never reached, so that the caller would wait for ever.
    :raises PrunedPositionError: events after it were removed.
    :raises LostPositionError: a restored backup does not have it.
    """
    last = connection.execute(select(LastPosition())).scalar() or 0
    if position > last:
        raise InvalidInputError(
            f"Position {position} lies after the end of the history, which is at {last}: the registry was restored "
            f"from a backup, or the position is another registry's. Follow again from {last} or earlier."
        )
    of_source = true() if source_id is None else pruning.c.source_id == source_id
    pruned = connection.execute(
        select(pruning).where(of_source).order_by(pruning.c.pruned_to.desc()).limit(1)
    ).first()
    if pruned is not None and position < pruned.pruned_to:
        raise PrunedPositionError(position, pruned.pruned_to, format_to_the_second(pruned.pruned_before))
    lost = connection.execute(select(restoration).where(is_lost(position))).first()
    if lost is not None:
        raise LostPositionError(position, format_to_the_second(lost.noticed_at), lost.last_before)
