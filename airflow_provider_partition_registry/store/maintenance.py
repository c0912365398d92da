"""What operators of a registry do with its database: upgrade it, verify it, back it up, prune it.

Users of a registry open it by :mod:`~airflow_provider_partition_registry.store.factory`. These two modules are the only
ways into ``store.sql``, which is imported when one of their functions is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.errors import InvalidInputError, RegistryError
from airflow_provider_partition_registry.store.factory import DEFAULT_TIMEOUT, is_database

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.sql.database.engine import Database
    from airflow_provider_partition_registry.store.sql.maintenance.verification import Discrepancy


@dataclass(frozen=True, slots=True)
class Schema:
    """The revision that the tables are at.

    :param is_finished: False if the upgrade has a part left that former versions could not work with.
    """

    database: str
    revision: str
    is_finished: bool


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made."""

    database: str
    file: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The discrepancies found. ``known`` are those that the caller knew of, so they do not count as wrong."""

    database: str
    repaired: tuple[Discrepancy, ...]
    known: tuple[Discrepancy, ...]
    discrepancies: tuple[Discrepancy, ...]


def upgrade(url: str, *, finishes: bool = False) -> Schema:
    """Create the tables, or bring them up to date. Does nothing if they are up to date.

    :param url: of a database; a web service cannot be upgraded from outside.
    :param finishes: whether to do also what processes of former versions could not work with.
    :raises InvalidInputError: the URL is not that of a database.
    :raises SchemaNewerError: a newer version's schema.
    :raises SchemaBlockedError: rows break constraints of the new schema; nothing was changed.
    :raises SchemaDamagedError: some of its tables are missing.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import finishing
    from airflow_provider_partition_registry.store.sql.schema import revisions

    with _opened(url) as database:
        revision = revisions.upgrade(database)
        if finishes:
            finishing.finish(database)
        return Schema(database.name, revision, finishing.is_finished(database))


def current(url: str) -> Schema:
    """The schema's revision, if it is the one this version needs. Changes nothing.

    :raises SchemaError: it is another one, or there is no registry.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import finishing
    from airflow_provider_partition_registry.store.sql.schema import revisions

    with _opened(url) as database:
        database.require_file()
        revision = revisions.require(database)
        return Schema(database.name, revision, finishing.is_finished(database))


def verify(url: str, *, repairs: bool = False, known_lost: int = 0) -> Verification:
    """Check that all rows follow from each other. May run beside readers and writers.

    :param repairs: whether to repair first what follows from other rows.
    :param known_lost: how many events are known to be lost from the history; a loss of more counts as wrong.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import verification

    with _opened(url) as database:
        database.require_file()
        repaired = verification.repair(database) if repairs else []
        found = verification.verify(database)
    gaps = tuple(each for each in found if each.is_history_gap)
    known = gaps if sum(each.count for each in gaps) <= known_lost else ()
    wrong = tuple(each for each in found if each not in known)
    return Verification(database.name, tuple(repaired), known, wrong)


def back_up(url: str, file: Path, *, overwrite: bool = False) -> Backup:
    """Copy a registry in SQLite into a file, as of one moment. May run beside readers and writers.

    :raises InvalidInputError: the registry is not in SQLite, or the file exists.
    :raises StoreRefusedError: it cannot be written.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import backup

    with _opened(url) as database:
        backup.back_up(database, file, overwrite=overwrite)
        return Backup(database.name, str(file), file.stat().st_size)


@dataclass(frozen=True, slots=True)
class Restored:
    """A registry that was restored from a backup, and where its history goes on."""

    database: str
    goes_on_after: int


def note_restoration(url: str) -> Restored:
    """Give the history of a registry a new identity, as it was restored from a backup in a way that does not show (R9).

    :raises InvalidInputError: the URL is not that of a database.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    from airflow_provider_partition_registry.store.sql.schema import revisions
    from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore

    with _opened(url) as database:
        database.require_file()
        revisions.require(database)
        store = SqlRegistryStore(database)
        store.notice_restoration(is_told=True)
        return Restored(database.name, store.last_position())


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed from a registry so far, or would be.

    :param before: all of it happened before this instant.
    :param is_trial: whether nothing is removed.
    :param source_name: the source at which it is; None at the end.
    """

    database: str
    before: datetime
    is_trial: bool
    source_name: str | None = None
    event_count: int = 0
    partition_count: int = 0


def prune(url: str, before: datetime, *, is_trial: bool = False) -> Iterator[Pruned]:
    """Remove old events and partitions that nobody can still ask for. May run beside readers and writers.

    It goes on as its caller takes what it yields, and may be stopped at any time: after each portion the sum so far,
    and at last that of all.

    :param is_trial: whether only to find out what would be removed.
    :raises InvalidInputError: the URL is not that of a database, or the instant has no zone or is in the future.
    :raises SchemaError: the database holds no registry, or one of another version.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import pruning
    from airflow_provider_partition_registry.store.sql.schema import revisions

    with _opened(url) as database:
        database.require_file()
        revisions.require(database)
        pruning.require_past(database, before)
        yield from _prune(database, before, is_trial=is_trial)


def prune_in_turn(url: str, keep: timedelta, *, every: timedelta) -> Iterator[Pruned]:
    """Remove what is older than ``keep``, as :func:`prune` does; nothing if it is another process's turn.

    :param every: how much later than the last turn the next one comes, whose ever it was.
    """
    from airflow_provider_partition_registry.store.sql.maintenance import pruning

    with _opened(url) as database:
        database.require_file()
        begun_at = pruning.take_turn(database, every)
        if begun_at is None:
            return
        try:
            yield from _prune(database, begun_at - keep, is_trial=False)
        except BaseException:  # also when it is told to stop: another one goes on
            with suppress(RegistryError):
                pruning.return_turn(database)
            raise


def _prune(database: Database, before: datetime, *, is_trial: bool) -> Iterator[Pruned]:
    from airflow_provider_partition_registry.store.sql.maintenance import pruning

    so_far = Pruned(database.name, before, is_trial)
    for portion in pruning.prune(database, before, removes=not is_trial):
        so_far = replace(
            so_far,
            source_name=portion.source_name,
            event_count=so_far.event_count + portion.event_count,
            partition_count=so_far.partition_count + portion.partition_count,
        )
        yield so_far
    yield replace(so_far, source_name=None)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    if not is_database(url):
        raise InvalidInputError(
            "The db commands work on the database itself: its URL starts with postgresql:// or sqlite:///."
        )
    from airflow_provider_partition_registry.store.sql.database.engine import Database

    database = Database(url, pool_size=1, timeout=DEFAULT_TIMEOUT)
    try:
        yield database
    finally:
        database.close()
