"""How the registry's database is asked: in which transaction, at what time, and page by page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import literal, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_partition_registry.domain.errors import SchemaMissingError, UnknownSourceError
from airflow_provider_partition_registry.domain.models import Page
from airflow_provider_partition_registry.domain.names import check_limit, check_name
from airflow_provider_partition_registry.domain.principals import Source
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.database.types import UtcInstant
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import source
from airflow_provider_partition_registry.store.sql.statements.rows import to_source

T = TypeVar("T")
Clock = Callable[[], datetime]


class Querying:
    """Runs statements that read.

    :param clock: used in place of the database's time, for tests.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self.database = database
        self._clock = clock
        self._schema_is_checked = False

    def get_source(self, source_name: str) -> Source:
        row = self._first(select(source).where(source.c.name == check_name("source name", source_name)))
        if row is None:
            raise UnknownSourceError(source_name)
        return to_source(row)

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._run(self.database.read, work)

    def _read_together(self, work: Callable[[Connection], T]) -> T:
        """Read with several statements as of one moment (R2)."""
        return self._run(self.database.snapshot, work)

    def _run(self, run: Callable[[Callable[[Connection], T]], T], work: Callable[[Connection], T]) -> T:
        """Let the database run ``work`` if its schema fits, which is checked once."""
        if not self._schema_is_checked:
            revisions.check(self.database)
            self._schema_is_checked = True
        try:
            return run(work)
        except SchemaMissingError:
            # Tables have been dropped since: say which, unless it was all of them.
            revisions.require(self.database)
            raise

    def _now(self, of_database: datetime | None) -> datetime:
        if self._clock is not None:
            return self._clock()
        return of_database or datetime.now(UTC)

    @property
    def _database_tells_time(self) -> bool:
        return self._clock is None and not self.database.is_sqlite

    def _sql_now(self) -> ColumnElement:
        return DatabaseNow() if self._database_tells_time else literal(self._now(None), UtcInstant())

    def _first(self, statement: Select) -> Any:
        return self._read(lambda connection: connection.execute(statement).first())

    def _of_source(self, source_name: str, page: Page[T]) -> Page[T]:
        """Return the page; if it is empty, check that the source exists. Only then does that cost a statement."""
        if not page.items:
            self.get_source(source_name)
        return page

    def _page(
        self, statement: Select, limit: int, to_value: Callable[[Any], T], key: Callable[[T], str | int]
    ) -> Page[T]:
        limited = statement.limit(check_limit(limit) + 1)
        rows = self._read(lambda connection: connection.execute(limited).all())
        return to_page([to_value(row) for row in rows], limit, key)


def to_page(values: list[T], limit: int, key: Callable[[T], str | int]) -> Page[T]:
    """Make a page of the values; one value more than ``limit`` shows that more follow."""
    shown = tuple(values[:limit])
    return Page(shown, key(shown[-1]) if len(values) > limit else None)
