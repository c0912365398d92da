"""Writing to a registry in a SQL database: every call is one transaction under its source's row lock (R11)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import (
    PartitionAlreadyRegisteredError,
    RegistryError,
    UnknownPartitionError,
)
from airflow_provider_partition_registry.domain.many_requests import ManyRequest, check_keys
from airflow_provider_partition_registry.domain.models import Partition, PartitionKey, check_key
from airflow_provider_partition_registry.domain.names import check_name, check_new_name, check_text
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
    check_principal,
)
from airflow_provider_partition_registry.domain.questions import check_max_age
from airflow_provider_partition_registry.domain.requests import (
    ChangeRequest,
    DecisionRequest,
    LockRequest,
    check_decision,
)
from airflow_provider_partition_registry.domain.uris import check_uri_or_none
from airflow_provider_partition_registry.store.contract import RegistryDatabase, RegistryReader
from airflow_provider_partition_registry.store.sql.changes.access import AccessControl
from airflow_provider_partition_registry.store.sql.changes.claim import Claim
from airflow_provider_partition_registry.store.sql.changes.history import HistoryElsewhereError
from airflow_provider_partition_registry.store.sql.changes.home import find_home, move_to, named_home
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow
from airflow_provider_partition_registry.store.sql.database.engine import Database
from airflow_provider_partition_registry.store.sql.listener import tell_process
from airflow_provider_partition_registry.store.sql.querying import Clock
from airflow_provider_partition_registry.store.sql.reader import SqlRegistryReader
from airflow_provider_partition_registry.store.sql.standby.heartbeat import Heartbeat
from airflow_provider_partition_registry.store.sql.standby.reader import AgedReader, StandbyReader, Tell
from airflow_provider_partition_registry.store.sql.standby.standby import LONGEST_TIMEOUT, Standby
from airflow_provider_partition_registry.store.sql.statements.positions import is_settled, latest_positions

T = TypeVar("T")


def open_sql_store(
    url: str,
    *,
    pool_size: int,
    timeout: float,
    writing_pool_size: int | None = None,
    standby_url: str | None = None,
    tell: Tell | None = None,
    clock: Clock | None = None,
) -> SqlRegistryStore:
    """Open the registry in a SQL database; see :func:`~..factory.open_store`.

    :param tell: see :func:`~..factory.open_database`.
    :param clock: used in place of the database's time, for tests.
    """
    database = Database(url, pool_size=pool_size, timeout=timeout, writing_pool_size=writing_pool_size)
    store = SqlRegistryStore(database, clock)
    if standby_url is not None:
        limit = min(timeout, LONGEST_TIMEOUT)
        store.add_standby(Database(standby_url, pool_size=pool_size, timeout=limit, is_standby=True), tell)
    return store


class SqlRegistryStore(SqlRegistryReader, RegistryDatabase):
    """A registry in PostgreSQL or SQLite."""

    _home_is_checked = False
    _standby: Standby | None = None
    _tell: Tell | None = None

    def add_standby(self, database: Database, tell: Tell | None = None) -> None:
        """Let a standby of the database answer who accepts that (:meth:`with_max_age`).

        :param tell: see :func:`~..factory.open_database`.
        """
        self._standby = Standby(database, Heartbeat(partial(self._run, self.database.write)))
        self._tell = tell

    def with_max_age(self, seconds: int) -> RegistryReader:
        if not check_max_age(seconds) or self._standby is None:
            return self
        return AgedReader(self, StandbyReader(self._standby, seconds, self._clock), self._tell)

    def close(self) -> None:
        if self._standby is not None:
            self._standby.close()
        super().close()

    def register_source(self, source_name: str, owner: str, *, uri: str | None = None) -> SourceRegistration:
        check_new_name("source name", source_name)
        check_text("owner", owner)
        check_uri_or_none(uri)
        return self._control_access(lambda control: control.register_source(source_name, owner, uri))

    def set_source_uri(self, source_name: str, uri: str | None) -> Source:
        check_name("source name", source_name)
        check_uri_or_none(uri)
        return self._control_access(lambda control: control.set_source_uri(source_name, uri))

    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        check_new_name("provider name", provider_name)
        return self._control_access(
            lambda control: control.register_provider(provider_name, access_token, provider_token)
        )

    def revoke_grant(self, source_name: str, provider_name: str, *, reason: str, by: str) -> Provider:
        check_name("source name", source_name)
        check_name("provider name", provider_name)
        check_decision(reason, by)
        return self._control_access(
            lambda control: control.revoke_grant(source_name, provider_name, reason, by)
        )

    def rotate_token(
        self,
        principal: Principal,
        *,
        overlap: timedelta = timedelta(0),
        expires_in: timedelta | None = None,
    ) -> IssuedToken:
        check_principal(principal)
        return self._control_access(lambda control: control.rotate_token(principal, overlap, expires_in))

    def revoke_token(self, token_id: str, *, reason: str, by: str) -> AccessToken:
        check_name("token id", token_id)
        check_decision(reason, by)
        return self._control_access(lambda control: control.revoke_token(token_id, reason, by))

    def register_many(self, keys: Sequence[PartitionKey]) -> list[Partition]:
        keys = check_keys(keys)

        def register(connection: Connection) -> list[Partition]:
            claim = Claim(connection, keys, self._now, looks_around=False)
            claim.require_grant()
            with _all_or_none(len(keys)):
                for key in keys:
                    if claim.get(key) is not None:
                        raise PartitionAlreadyRegisteredError(key)
                    claim.register(key)
            return claim.write()

        return self._write(register) if keys else []

    def change(self, request: ChangeRequest) -> Partition:
        (changed,) = self._change([request])
        return changed

    def change_many(self, request: ManyRequest) -> list[Partition]:
        return self._change(request.each) if request.each else []

    def _change(self, requests: Sequence[ChangeRequest]) -> list[Partition]:
        """Look at partitions of a provider under their source's lock, decide, and make the changes decided on."""
        keys = [check_key(each.key) for each in requests]

        def work(connection: Connection) -> list[Partition]:
            claim = Claim(connection, keys, self._now)
            # A person's decision does not depend on the provider's grant (R6).
            if not all(isinstance(each, DecisionRequest) for each in requests):
                claim.require_grant()
            with _all_or_none(len(requests)):
                for each in requests:
                    _carry_out(each, claim)
            return claim.write()

        changed = self._write(work)
        if self.database.file is not None:
            tell_process(self.database.file, keys[0].source_name)
        return changed

    def is_settled(self) -> bool:
        return self._read(is_settled)

    def latest_positions(self, source_names: Collection[str]) -> dict[str, int]:
        return self._read(lambda connection: latest_positions(connection, source_names))

    def notice_restoration(self, *, is_told: bool = False) -> bool:
        """Give the history a new identity if it was restored from a backup (R9).

        :param is_told: it was, although it may not look so.
        :return: whether the history names its home now, so that it can be written to.
        """
        home = self._read(find_home)
        if not is_told and self._read(named_home) == home:
            self._home_is_checked = True
            return True

        def move(connection: Connection) -> None:
            now = self._now(connection.execute(select(DatabaseNow())).scalar())
            move_to(connection, home, now, is_restored=is_told)

        self._run(self.database.write, move)
        self._home_is_checked = True
        return self._read(named_home) == home

    def _write(self, work: Callable[[Connection], T]) -> T:
        if not self._home_is_checked:
            self.notice_restoration()
        try:
            return self._run(self.database.write, work)
        except HistoryElsewhereError:
            if not self.notice_restoration():
                raise
        return self._run(self.database.write, work)

    def _control_access(self, decide: Callable[[AccessControl], T]) -> T:
        return self._write(lambda connection: decide(AccessControl(connection, self._now)))


@contextmanager
def _all_or_none(how_many: int) -> Iterator[None]:
    """If one of many is refused, add to the error that it stands for all (R11)."""
    try:
        yield
    except RegistryError as error:
        if how_many == 1:
            raise
        raise error.continued(f"So none of the {how_many:,} partitions of this call was changed.") from None


def _carry_out(request: ChangeRequest, claim: Claim) -> None:
    """Decide on a request and make the changes decided on."""
    registers = isinstance(request, LockRequest) and request.register
    partition = claim.get(request.key) or (claim.register(request.key) if registers else None)
    if partition is None:
        raise UnknownPartitionError(request.key)
    neighbours = claim.neighbours(request.key) if isinstance(request, LockRequest) else ()
    for change in locking.decide(
        request,
        partition,
        neighbours=neighbours,
        now=claim.now,
        former_generation=claim.former_generation,
    ):
        claim.apply(change)
