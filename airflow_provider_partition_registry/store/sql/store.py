"""Writing to a registry in a SQL database: every call is one transaction under its source's row lock (R11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Table, exc, insert, select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import (
    InvalidTokenError,
    PartitionAlreadyRegisteredError,
    ProviderAlreadyRegisteredError,
    SourceAlreadyRegisteredError,
    UnknownPartitionError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.locking import Change
from airflow_provider_partition_registry.domain.models import (
    EventType,
    Holder,
    Partition,
    PartitionState,
    Provider,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.names import check_flag, check_name, check_number, check_text
from airflow_provider_partition_registry.store.base import RegistryStore
from airflow_provider_partition_registry.store.sql import tokens
from airflow_provider_partition_registry.store.sql.claim import Claim, lock_source
from airflow_provider_partition_registry.store.sql.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.engine import Database
from airflow_provider_partition_registry.store.sql.history import write_event
from airflow_provider_partition_registry.store.sql.reader import Clock, SqlRegistryReader
from airflow_provider_partition_registry.store.sql.tables import access_token, grant, provider, source

T = TypeVar("T")
Decision = Callable[[Claim, Partition], Iterable[Change | None]]


def open_sql_store(
    url: str, *, pool_size: int, timeout: float, clock: Clock | None = None
) -> SqlRegistryStore:
    """Open the registry in a SQL database; see :func:`~..factory.open_store`.

    :param clock: tells the time instead of the database, for tests.
    """
    return SqlRegistryStore(Database(url, pool_size=pool_size, timeout=timeout), clock)


class SqlRegistryStore(SqlRegistryReader, RegistryStore):
    """A registry in PostgreSQL or SQLite."""

    def register_source(self, source_name: str, owner: str) -> SourceRegistration:
        check_name("source name", source_name)
        check_text("owner", owner)
        token = tokens.create_token()

        def register(connection: Connection) -> Source:
            now = self._time_of(connection)
            source_id, is_new = _insert_named(connection, source, source_name, owner=owner, registered_at=now)
            if not is_new:
                raise SourceAlreadyRegisteredError(source_name)
            connection.execute(
                insert(access_token).values(
                    id=token.id, source_id=source_id, secret_hash=token.secret_hash, created_at=now
                )
            )
            write_event(
                connection,
                EventType.SOURCE_REGISTERED,
                at=now,
                source_id=source_id,
                source_name=source_name,
                details={"owner": owner},
            )
            return Source(source_name, owner, now, source_id)

        return SourceRegistration(self._write(register), token.text)

    def register_provider(self, provider_name: str, access_token: str) -> Provider:
        check_name("provider name", provider_name)

        def register(connection: Connection) -> None:
            source_id, source_name = _source_of_token(connection, access_token)
            lock_source(connection, source_name)
            now = self._time_of(connection)
            provider_id, is_new = _insert_named(connection, provider, provider_name, registered_at=now)
            if _is_granted(connection, source_id, provider_id):
                raise ProviderAlreadyRegisteredError(provider_name, source_name)
            connection.execute(
                insert(grant).values(source_id=source_id, provider_id=provider_id, granted_at=now)
            )
            write_event(
                connection,
                EventType.PROVIDER_REGISTERED if is_new else EventType.GRANTED,
                at=now,
                source_id=source_id,
                source_name=source_name,
                provider_id=provider_id,
            )

        self._write(register)
        return self.get_provider(provider_name)

    def register_partition(self, source_name: str, provider_name: str, interval: Interval) -> Partition:
        def register(connection: Connection) -> Partition:
            claim = self._claim(connection, source_name, provider_name, interval)
            claim.require_grant()
            if claim.partition is not None:
                raise PartitionAlreadyRegisteredError(source_name, provider_name, interval)
            return claim.register()

        return self._write(register)

    def lock(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        *,
        holder: Holder | str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
    ) -> Partition:
        taker = _holder(holder, provider_name)
        check_flag("exclusive", exclusive)
        check_flag("register", register)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change]:
            return locking.acquire(
                partition,
                taker,
                now=claim.now,
                lease=lease,
                exclusive=exclusive,
                neighbours=claim.neighbours,
            )

        return self._change(source_name, provider_name, interval, decide, register=register)

    def renew(
        self, source_name: str, provider_name: str, interval: Interval, *, generation: int, lease: timedelta
    ) -> Partition:
        check_number("generation", generation)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change]:
            return [locking.renew(partition, generation, lease, now=claim.now)]

        return self._change(source_name, provider_name, interval, decide)

    def unlock(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        *,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        caller = _holder(holder, provider_name)
        _check_generation(generation)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change | None]:
            return [locking.publish(partition, caller, generation, now=claim.now)]

        return self._change(source_name, provider_name, interval, decide)

    def fail(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        *,
        reason: str,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        caller = _holder(holder, provider_name)
        _check_generation(generation)
        check_text("reason", reason)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change | None]:
            return [locking.fail(partition, caller, generation, reason, now=claim.now)]

        return self._change(source_name, provider_name, interval, decide)

    def force_release(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        *,
        reason: str,
        by: str,
        to: PartitionState = PartitionState.FAILED,
    ) -> Partition:
        verdict = partial(locking.force_release, to=to)
        return self._overrule(source_name, provider_name, interval, verdict, reason=reason, by=by)

    def invalidate(
        self, source_name: str, provider_name: str, interval: Interval, *, reason: str, by: str
    ) -> Partition:
        return self._overrule(source_name, provider_name, interval, locking.invalidate, reason=reason, by=by)

    def withdraw(
        self, source_name: str, provider_name: str, interval: Interval, *, reason: str, by: str
    ) -> Partition:
        return self._overrule(source_name, provider_name, interval, locking.withdraw, reason=reason, by=by)

    def _overrule(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        verdict: Callable[..., Change],
        *,
        reason: str,
        by: str,
    ) -> Partition:
        """Do what a person decides for the provider, whose grant does not matter (R6)."""
        check_text("reason", reason)
        check_text("name of who decides", by)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change]:
            return [verdict(partition, reason=reason, by=by, now=claim.now)]

        return self._change(source_name, provider_name, interval, decide, needs_grant=False)

    def _change(
        self,
        source_name: str,
        provider_name: str,
        interval: Interval,
        decide: Decision,
        *,
        register: bool = False,
        needs_grant: bool = True,
    ) -> Partition:
        """Look at the partition under its source's lock, decide, and make the changes decided on."""

        def work(connection: Connection) -> Partition:
            claim = self._claim(connection, source_name, provider_name, interval)
            if needs_grant:
                claim.require_grant()
            partition = claim.partition or (claim.register() if register else None)
            if partition is None:
                raise UnknownPartitionError(source_name, provider_name, interval)
            for change in decide(claim, partition):
                if change is not None:
                    claim.apply(change)
            return claim.partition or partition

        return self._write(work)

    def _claim(
        self, connection: Connection, source_name: str, provider_name: str, interval: Interval
    ) -> Claim:
        return Claim(connection, source_name, provider_name, interval, self._now)

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._run(self.database.write, work)

    def _time_of(self, connection: Connection) -> datetime:
        return self._now(connection.execute(select(DatabaseNow())).scalar())


def _insert_named(connection: Connection, table: Table, name: str, **values: Any) -> tuple[int, bool]:
    """Insert a row unless its name is taken, however narrow the race.

    :return: the id of the row with this name, and whether it is new.
    """
    try:
        with connection.begin_nested():
            key: Any = connection.execute(insert(table).values(name=name, **values)).inserted_primary_key
            return int(key[0]), True
    except exc.IntegrityError:
        taken_by = connection.execute(select(table.c.id).where(table.c.name == name)).scalar()
        if taken_by is None:
            raise  # It was not the name: a sequence that was left behind gave out an id again, for instance.
        return int(taken_by), False


def _source_of_token(connection: Connection, text: str) -> tuple[int, str]:
    token_id, secret = tokens.split_token(text)
    row: Any = connection.execute(
        select(access_token.c.secret_hash, source.c.id, source.c.name)
        .select_from(access_token.join(source))
        .where(access_token.c.id == token_id)
    ).first()
    if not tokens.is_secret(secret, row.secret_hash if row else "") or row is None:
        raise InvalidTokenError
    return row.id, row.name


def _is_granted(connection: Connection, source_id: int, provider_id: int) -> bool:
    statement = select(grant.c.source_id).where(
        grant.c.source_id == source_id, grant.c.provider_id == provider_id
    )
    return connection.execute(statement).first() is not None


def _holder(holder: Holder | str | None, provider_name: str) -> Holder:
    """Who acts: a caller that names no holder acts as the provider itself (R3)."""
    if isinstance(holder, Holder):
        return holder
    return Holder(provider_name if holder is None else holder)


def _check_generation(generation: int | None) -> None:
    if generation is not None:
        check_number("generation", generation)
