"""Reading a registry in a SQL database: readiness, lists, views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, func, literal, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Select

from airflow_provider_partition_registry.domain.errors import (
    UnknownPartitionError,
    UnknownProviderError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.intervals import Interval, check_interval
from airflow_provider_partition_registry.domain.models import (
    LockCounts,
    Page,
    Partition,
    PartitionKey,
    check_key,
)
from airflow_provider_partition_registry.domain.names import (
    MAX_IDENTITY_LENGTH,
    check_limit,
    check_name,
    check_number,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    Principal,
    PrincipalKind,
    Provider,
    Source,
    check_principal,
)
from airflow_provider_partition_registry.domain.questions import Answer, Question, check_questions
from airflow_provider_partition_registry.domain.viewing import SourceOverview, Timeline, check_resolution
from airflow_provider_partition_registry.store.contract import Listener, RegistryReader
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.grain_reader import GrainReader
from airflow_provider_partition_registry.store.sql.listener import ProcessListener, open_postgres_listener
from airflow_provider_partition_registry.store.sql.querying import to_page
from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.schema.tables import (
    grant,
    partition,
    provider,
    source,
)
from airflow_provider_partition_registry.store.sql.statements.answering import answer
from airflow_provider_partition_registry.store.sql.statements.lists import (
    id_of,
    locks_at,
    locks_by_id,
    partitions_by_start,
    require_partition,
)
from airflow_provider_partition_registry.store.sql.statements.overviews import overviews, to_overview
from airflow_provider_partition_registry.store.sql.statements.principals import (
    find_providers,
    find_token,
    identify,
    session_key,
    to_access_token,
    tokens_of,
)
from airflow_provider_partition_registry.store.sql.statements.questions import AT_ONCE, in_portions
from airflow_provider_partition_registry.store.sql.statements.rows import (
    PARTITION_COLUMNS,
    to_partition,
    to_source,
)
from airflow_provider_partition_registry.store.sql.statements.timeline import Window, draw


class SqlRegistryReader(GrainReader, RegistryReader):
    """The reading half of :class:`~airflow_provider_partition_registry.store.sql.store.SqlRegistryStore`."""

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        portions = in_portions(check_questions(questions), AT_ONCE)
        asked_at = None if self._database_tells_time else self._now(None)

        def answer_all(connection: Connection) -> list[Answer]:
            return [
                each
                for portion in portions
                for each in answer(connection, portion, self._now, asked_at, explain=explain)
            ]

        if len(portions) <= 1:
            return self._read(answer_all) if portions else []
        return self._read_together(answer_all)

    def list_sources(self, after: str | None = None, limit: int = 100) -> Page[Source]:
        statement = select(source).order_by(source.c.name)
        if after is not None:
            statement = statement.where(source.c.name > check_name("cursor", after))
        return self._page(statement, limit, to_source, lambda found: found.name)

    def get_provider(self, provider_name: str) -> Provider:
        check_name("provider name", provider_name)
        providers = self._providers(select(provider).where(provider.c.name == provider_name))
        if not providers:
            raise UnknownProviderError(provider_name)
        return providers[0]

    def list_providers(
        self, source_name: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Provider]:
        statement = select(provider).order_by(provider.c.name).limit(check_limit(limit) + 1)
        if after is not None:
            statement = statement.where(provider.c.name > check_name("cursor", after))
        if source_name is not None:
            check_name("source name", source_name)
            of_source = select(grant.c.provider_id).where(grant.c.source_id == id_of(source, source_name))
            statement = statement.where(provider.c.id.in_(of_source))
        page = to_page(self._providers(statement), limit, lambda found: found.name)
        return page if source_name is None else self._of_source(source_name, page)

    def identify_token(self, access_token: str) -> AccessToken:
        return self._read(lambda connection: identify(connection, access_token, self._now))

    def session_key(self, token_id: str) -> bytes | None:
        return self._read(lambda connection: session_key(connection, token_id, self._now))

    def get_token(self, token_id: str) -> AccessToken:
        check_name("token id", token_id)
        return self._read(lambda connection: find_token(connection, token_id))

    def list_tokens(
        self, principal: Principal, after: str | None = None, limit: int = 100
    ) -> Page[AccessToken]:
        check_principal(principal)
        if after is not None:
            check_name("cursor", after)
        table, look_up = {
            PrincipalKind.SOURCE: (source, self.get_source),
            PrincipalKind.PROVIDER: (provider, self.get_provider),
        }[principal.kind]
        statement = tokens_of(principal.kind, id_of(table, principal.name), after)
        page = self._page(statement, limit, to_access_token, lambda found: found.id)
        if not page.items:
            look_up(principal.name)  # raises if it does not exist
        return page

    def get_partition(self, key: PartitionKey) -> Partition:
        check_key(key)
        sought = and_(
            partition.c.source_id == source.c.id,
            partition.c.provider_id == provider.c.id,
            partition.c.interval_start == key.interval.start,
            partition.c.interval_end == key.interval.end,
        )
        # Always one row, whatever exists, so that one statement tells which of the three does not.
        around = (
            select(literal(1).label("one"))
            .subquery()
            .outerjoin(source, source.c.name == key.source_name)
            .outerjoin(provider, provider.c.name == key.provider_name)
            .outerjoin(partition, sought)
        )
        its_source, its_provider = source.c.id.label("its_source"), provider.c.id.label("its_provider")
        row = self._first(
            select(its_source, its_provider, *PARTITION_COLUMNS, DatabaseNow().label("now")).select_from(
                around
            )
        )
        if row.its_source is None:
            raise UnknownSourceError(key.source_name)
        if row.its_provider is None:
            raise UnknownProviderError(key.provider_name)
        if row.id is None:
            raise UnknownPartitionError(key)
        return to_partition(row, key.source_name, key.provider_name, self._now(row.now))

    def list_partitions(
        self,
        source_name: str,
        interval: Interval | None = None,
        after: int | None = None,
        limit: int = 100,
        provider_name: str | None = None,
    ) -> Page[Partition]:
        if interval is not None:
            check_interval(interval)
        if after is not None:
            check_number("cursor", after)
        source_id = id_of(source, check_name("source name", source_name))
        if provider_name is not None:
            check_name("provider name", provider_name)
        statement = partitions_by_start(source_id, interval, after, check_limit(limit) + 1, provider_name)

        def to_value(row: Any) -> Partition:
            return to_partition(row, source_name, row.provider_name, self._now(row.now))

        page = self._of_source(source_name, self._page(statement, limit, to_value, lambda found: found.id))
        if not page.items and provider_name is not None:
            self.get_provider(provider_name)  # raises if it does not exist
        if not page.items and after is not None:
            self._read(lambda connection: require_partition(connection, after))
        return page

    def count_locks(self) -> LockCounts:
        row = self._first(locks_at(self._sql_now()))
        return LockCounts(held=int(row.locked - row.expired), expired=int(row.expired))

    def list_locks(
        self, holder_prefix: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        if holder_prefix is not None:
            check_name("holder prefix", holder_prefix, MAX_IDENTITY_LENGTH)
        begin = 0 if after is None else max(0, check_number("cursor", after))
        statement = locks_by_id(holder_prefix, begin, check_limit(limit) + 1)

        def to_value(row: Any) -> Partition:
            return to_partition(row, row.source_name, row.provider_name, self._now(row.now))

        return self._page(statement, limit, to_value, lambda found: found.id)

    def get_overview(self, source_name: str) -> SourceOverview:
        its_row = select(source).where(source.c.name == check_name("source name", source_name))
        row = self._first(overviews(its_row, self._sql_now()))
        if row is None:
            raise UnknownSourceError(source_name)
        return to_overview(row)

    def list_overviews(
        self, prefix: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SourceOverview]:
        sources = select(source).order_by(source.c.name).limit(check_limit(limit) + 1)
        if prefix is not None:
            check_name("prefix", prefix)
            # LIKE would be case-insensitive in SQLite.
            sources = sources.where(func.substr(source.c.name, 1, len(prefix)) == prefix)
        if after is not None:
            sources = sources.where(source.c.name > check_name("cursor", after))
        statement = overviews(sources, self._sql_now())
        return self._page(statement, limit, to_overview, lambda found: found.source.name)

    def timeline(self, source_name: str, interval: Interval, resolution: int = 400) -> Timeline:
        check_interval(interval)
        check_resolution(resolution)
        check_name("source name", source_name)

        def look(connection: Connection) -> Timeline:
            source_id = connection.execute(select(id_of(source, source_name))).scalar()
            if source_id is None:
                raise UnknownSourceError(source_name)
            return draw(connection, Window(source_id, source_name, interval, resolution), self._now)

        return self._read_together(look)

    def ping(self) -> None:
        self.database.require_file()
        revisions.require(self.database)

    def open_listener(self) -> Listener | None:
        file = self.database.file
        return open_postgres_listener(self.database) if file is None else ProcessListener(file)

    def close(self) -> None:
        self.database.close()

    def _providers(self, statement: Select) -> list[Provider]:
        return self._read(lambda connection: find_providers(connection, statement))
