"""Writing to a registry in a SQL database: every call is one transaction under its source's row lock (R11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import (
    PartitionAlreadyRegisteredError,
    UnknownPartitionError,
)
from airflow_provider_partition_registry.domain.locking import Change
from airflow_provider_partition_registry.domain.models import (
    AccessToken,
    Holder,
    IssuedToken,
    Partition,
    PartitionKey,
    PartitionState,
    Principal,
    Provider,
    ProviderRegistration,
    SourceRegistration,
    check_key,
    check_principal,
)
from airflow_provider_partition_registry.domain.names import (
    MAX_IDENTITY_LENGTH,
    check_flag,
    check_name,
    check_new_name,
    check_number,
    check_text,
)
from airflow_provider_partition_registry.store.base import RegistryStore
from airflow_provider_partition_registry.store.sql.access import Access
from airflow_provider_partition_registry.store.sql.claim import Claim
from airflow_provider_partition_registry.store.sql.engine import Database
from airflow_provider_partition_registry.store.sql.listener import tell_process
from airflow_provider_partition_registry.store.sql.reader import Clock, SqlRegistryReader

T = TypeVar("T")
Decision = Callable[[Claim, Partition], Iterable[Change | None]]


def open_sql_store(
    url: str,
    *,
    pool_size: int,
    timeout: float,
    writing_pool_size: int | None = None,
    clock: Clock | None = None,
) -> SqlRegistryStore:
    """Open the registry in a SQL database; see :func:`~..factory.open_store`.

    :param clock: tells the time instead of the database, for tests.
    """
    database = Database(url, pool_size=pool_size, timeout=timeout, writing_pool_size=writing_pool_size)
    return SqlRegistryStore(database, clock)


class SqlRegistryStore(SqlRegistryReader, RegistryStore):
    """A registry in PostgreSQL or SQLite."""

    def register_source(self, source_name: str, owner: str) -> SourceRegistration:
        check_new_name("source name", source_name)
        check_text("owner", owner)
        return self._decide_access(lambda access: access.register_source(source_name, owner))

    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        check_new_name("provider name", provider_name)
        return self._decide_access(
            lambda access: access.register_provider(provider_name, access_token, provider_token)
        )

    def revoke_grant(self, source_name: str, provider_name: str, *, reason: str, by: str) -> Provider:
        check_name("source name", source_name)
        check_name("provider name", provider_name)
        _check_decision(reason, by)
        return self._decide_access(lambda access: access.revoke_grant(source_name, provider_name, reason, by))

    def rotate_token(
        self,
        principal: Principal,
        *,
        overlap: timedelta = timedelta(0),
        expires_in: timedelta | None = None,
    ) -> IssuedToken:
        check_principal(principal)
        return self._decide_access(lambda access: access.rotate_token(principal, overlap, expires_in))

    def revoke_token(self, token_id: str, *, reason: str, by: str) -> AccessToken:
        check_name("token id", token_id)
        _check_decision(reason, by)
        return self._decide_access(lambda access: access.revoke_token(token_id, reason, by))

    def register_partition(self, key: PartitionKey) -> Partition:
        def register(connection: Connection) -> Partition:
            claim = self._claim(connection, key)
            claim.require_grant()
            if claim.partition is not None:
                raise PartitionAlreadyRegisteredError(key)
            return claim.register()

        return self._write(register)

    def lock(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
    ) -> Partition:
        taker = _holder(holder, key)
        if holder is not None:
            check_new_name("holder identity", taker.identity, MAX_IDENTITY_LENGTH)
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

        return self._change(key, decide, register=register)

    def renew(self, key: PartitionKey, *, generation: int, lease: timedelta) -> Partition:
        check_number("generation", generation)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change]:
            return [locking.renew(partition, generation, lease, now=claim.now)]

        return self._change(key, decide)

    def unlock(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        caller = _holder(holder, key)
        _check_generation(generation)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change | None]:
            return [locking.publish(partition, caller, generation, now=claim.now)]

        return self._change(key, decide)

    def fail(
        self,
        key: PartitionKey,
        *,
        reason: str,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        caller = _holder(holder, key)
        _check_generation(generation)
        check_text("reason", reason)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change | None]:
            return [locking.fail(partition, caller, generation, reason, now=claim.now)]

        return self._change(key, decide)

    def release(
        self,
        key: PartitionKey,
        *,
        holder: Holder | str | None = None,
        generation: int | None = None,
    ) -> Partition:
        caller = _holder(holder, key)
        _check_generation(generation)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change | None]:
            return [locking.release(partition, caller, generation)]

        return self._change(key, decide)

    def force_release(
        self,
        key: PartitionKey,
        *,
        reason: str,
        by: str,
        to: PartitionState = PartitionState.FAILED,
    ) -> Partition:
        verdict = partial(locking.force_release, to=to)
        return self._overrule(key, verdict, reason=reason, by=by)

    def invalidate(self, key: PartitionKey, *, reason: str, by: str) -> Partition:
        return self._overrule(key, locking.invalidate, reason=reason, by=by)

    def withdraw(self, key: PartitionKey, *, reason: str, by: str) -> Partition:
        return self._overrule(key, locking.withdraw, reason=reason, by=by)

    def _overrule(
        self,
        key: PartitionKey,
        verdict: Callable[..., Change],
        *,
        reason: str,
        by: str,
    ) -> Partition:
        """Do what a person decides for the provider, whose grant does not matter (R6)."""
        _check_decision(reason, by)

        def decide(claim: Claim, partition: Partition) -> Iterable[Change]:
            return [verdict(partition, reason=reason, by=by, now=claim.now)]

        return self._change(key, decide, needs_grant=False)

    def _change(
        self,
        key: PartitionKey,
        decide: Decision,
        *,
        register: bool = False,
        needs_grant: bool = True,
    ) -> Partition:
        """Look at the partition under its source's lock, decide, and make the changes decided on."""

        def work(connection: Connection) -> Partition:
            claim = self._claim(connection, key)
            if needs_grant:
                claim.require_grant()
            partition = claim.partition or (claim.register() if register else None)
            if partition is None:
                raise UnknownPartitionError(key)
            for change in decide(claim, partition):
                if change is not None:
                    claim.apply(change)
            return claim.partition or partition

        changed = self._write(work)
        if self.database.file is not None:
            tell_process(self.database.file, key.source_name)
        return changed

    def _claim(self, connection: Connection, key: PartitionKey) -> Claim:
        return Claim(connection, check_key(key), self._now)

    def _write(self, work: Callable[[Connection], T]) -> T:
        return self._run(self.database.write, work)

    def _decide_access(self, decide: Callable[[Access], T]) -> T:
        return self._write(lambda connection: decide(Access(connection, self._now)))


def _holder(holder: Holder | str | None, key: PartitionKey) -> Holder:
    """Who acts: a caller that names no holder acts as the provider itself (R3)."""
    if isinstance(holder, Holder):
        return holder
    return Holder(check_key(key).provider_name if holder is None else holder)


def _check_generation(generation: int | None) -> None:
    if generation is not None:
        check_number("generation", generation)


def _check_decision(reason: str, by: str) -> None:
    check_text("reason", reason)
    check_text("name of who decides", by)
