"""Access control (R10): registering, grants and access tokens, each change with its event, inside a transaction."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, bindparam, delete, exc, insert, or_, select, update
from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain import tokens
from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    ConsentRequiredError,
    InvalidTokenError,
    NoGrantError,
    ProviderAlreadyRegisteredError,
    SourceAlreadyRegisteredError,
    UnknownProviderError,
)
from airflow_provider_partition_registry.domain.intervals import format_instant, instant_after
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    PrincipalKind,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.store.sql.changes.claim import lock_source
from airflow_provider_partition_registry.store.sql.changes.history import Line, finish_with_events
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow, TellTime
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.schema.tables import access_token, grant, provider, source
from airflow_provider_partition_registry.store.sql.statements.principals import (
    REFERENCES,
    find_providers,
    find_token,
    identify,
    speaks_for,
)
from airflow_provider_partition_registry.store.sql.statements.rows import to_source

LOCK_PROVIDER = (
    select(provider.c.id).where(provider.c.name == bindparam("provider_name")).with_for_update(key_share=True)
)


class AccessControl:
    """Changes to sources, providers, grants and tokens, in the transaction of a connection.

    Arguments have been checked before; what each method raises is documented in the contract.

    :param tell_time: takes the database's time and returns the time that counts.
    """

    def __init__(self, connection: Connection, tell_time: TellTime) -> None:
        self._connection = connection
        self._tell_time = tell_time

    def register_source(self, source_name: str, owner: str, uri: str | None) -> SourceRegistration:
        now = self._now()
        source_id, is_new = self._insert_named(source, source_name, owner=owner, registered_at=now, uri=uri)
        if not is_new:
            raise SourceAlreadyRegisteredError(source_name)
        issued = self._issue(Principal(PrincipalKind.SOURCE, source_name), source_id, now)
        details = {"owner": owner, "token_id": issued.token.id, **({"uri": uri} if uri else {})}
        self._finish(Line(EventType.SOURCE_REGISTERED, now, source_id, details=details), source_name)
        return SourceRegistration(Source(source_name, owner, now, source_id, uri), issued.access_token)

    def set_source_uri(self, source_name: str, uri: str | None) -> Source:
        source_id = lock_source(self._connection, source_name)
        found = to_source(self._connection.execute(select(source).where(source.c.id == source_id)).one())
        if found.uri == uri:
            return found
        self._connection.execute(update(source).where(source.c.id == source_id).values(uri=uri))
        told = {"owner": found.owner, "uri": uri, "former_uri": found.uri}
        # No type of its own: former versions, whom the schema serves, could not read it.
        line = Line(
            EventType.SOURCE_REGISTERED,
            self._now(),
            source_id,
            details={name: text for name, text in told.items() if text is not None},
        )
        self._finish(line, source_name)
        return replace(found, uri=uri)

    def register_provider(
        self, provider_name: str, text: str, provider_token: str | None
    ) -> ProviderRegistration:
        source_id, source_name = self._open_source(text)
        now = self._now()
        provider_id, is_new = self._insert_named(provider, provider_name, registered_at=now)
        if self._is_granted(source_id, provider_id):
            raise ProviderAlreadyRegisteredError(provider_name, source_name)
        if not is_new and provider_token is not None:
            self._require_consent(provider_name, source_name, provider_token)
        self._connection.execute(
            insert(grant).values(source_id=source_id, provider_id=provider_id, granted_at=now)
        )
        issued = None
        if is_new:  # Otherwise anyone with any source's token could get a credential for any provider.
            issued = self._issue(Principal(PrincipalKind.PROVIDER, provider_name), provider_id, now)
        registered = self._provider(provider_id)
        event_type = EventType.PROVIDER_REGISTERED if is_new else EventType.GRANTED
        details = {"token_id": issued.token.id} if issued else {}
        self._finish(Line(event_type, now, source_id, provider_id, details=details), source_name)
        return ProviderRegistration(registered, issued.access_token if issued else None)

    def revoke_grant(self, source_name: str, provider_name: str, reason: str, by: str) -> Provider:
        source_id = lock_source(self._connection, source_name)
        provider_id = self._lock(Principal(PrincipalKind.PROVIDER, provider_name))
        mine = (grant.c.source_id == source_id, grant.c.provider_id == provider_id)
        if self._connection.execute(delete(grant).where(*mine)).rowcount == 0:
            raise NoGrantError(provider_name, source_name)
        after = self._provider(provider_id)
        details = {"reason": reason, "by": by}
        line = Line(EventType.GRANT_REVOKED, self._now(), source_id, provider_id, details=details)
        self._finish(line, source_name)
        return after

    def rotate_token(
        self, principal: Principal, overlap: timedelta, expires_in: timedelta | None
    ) -> IssuedToken:
        principal_id = self._lock(principal)
        now = self._now()
        end = instant_after(now, overlap, "overlap", may_be_zero=True)
        expires_at = None if expires_in is None else instant_after(now, expires_in, "validity")
        if overlap:
            self._let_expire(principal, principal_id, end)
        else:
            self._revoke_all(principal, principal_id, end)
        issued = self._issue(principal, principal_id, now, expires_at)
        ending = "others_expire_at" if overlap else "others_revoked_at"
        details = {"token_id": issued.token.id, ending: format_instant(end)}
        if expires_at is not None:
            details["expires_at"] = format_instant(expires_at)
        self._finish_about(EventType.TOKEN_ROTATED, principal, principal_id, now, details)
        return issued

    def revoke_token(self, token_id: str, reason: str, by: str) -> AccessToken:
        principal = find_token(self._connection, token_id).principal
        principal_id = self._lock(principal)
        token = find_token(self._connection, token_id)  # read again, now that nobody else can change it
        if token.revoked_at is not None:
            return token
        now = self._now()
        self._connection.execute(
            update(access_token).where(access_token.c.id == token_id).values(revoked_at=now)
        )
        details = {"token_id": token_id, "reason": reason, "by": by}
        self._finish_about(EventType.TOKEN_REVOKED, principal, principal_id, now, details)
        return replace(token, revoked_at=now)

    def _now(self) -> datetime:
        return self._tell_time(self._connection.execute(select(DatabaseNow())).scalar())

    def _open_source(self, text: str) -> tuple[int, str]:
        """Lock the source that the token speaks for. Returns its id and name."""
        principal = identify(self._connection, text, self._tell_time).principal
        if principal.kind is not PrincipalKind.SOURCE:
            raise AccessDeniedError(
                f"The access token is that of {principal}. A provider is registered with the one of the source that it "
                f"shall write to: ask the source's owner for it."
            )
        source_id = lock_source(self._connection, principal.name)
        # Checked again: while this call waited for the lock, the token may have been rotated or revoked.
        identify(self._connection, text, self._tell_time)
        return source_id, principal.name

    def _require_consent(self, provider_name: str, source_name: str, provider_token: str) -> None:
        """Check that the provider agrees; otherwise whoever takes a name first could write where it is granted."""
        if not provider_token:
            raise ConsentRequiredError(provider_name, source_name)
        try:
            principal = identify(self._connection, provider_token, self._tell_time).principal
        except InvalidTokenError as error:
            raise error.continued("It is the one that was sent as the provider's own.") from None
        if principal != Principal(PrincipalKind.PROVIDER, provider_name):
            raise ConsentRequiredError(provider_name, source_name)

    def _lock(self, principal: Principal) -> int:
        """Keep out everybody who would change the same principal until the transaction ends. Returns its id."""
        if principal.kind is PrincipalKind.SOURCE:
            return lock_source(self._connection, principal.name)
        found = self._connection.execute(LOCK_PROVIDER, {"provider_name": principal.name}).scalar()
        if found is None:
            raise UnknownProviderError(principal.name)
        return int(found)

    def _issue(
        self, principal: Principal, principal_id: int, now: datetime, expires_at: datetime | None = None
    ) -> IssuedToken:
        made = tokens.create_token()
        values = {
            "id": made.id,
            REFERENCES[principal.kind].name: principal_id,
            "secret_hash": made.secret_hash,
            "created_at": now,
            "expires_at": expires_at,
        }
        self._connection.execute(insert(access_token).values(values))
        return IssuedToken(AccessToken(made.id, principal, now, expires_at), made.text)

    def _revoke_all(self, principal: Principal, principal_id: int, at: datetime) -> None:
        """Revoke its tokens, including expired ones, so that no clock stepping back makes one valid again."""
        is_left = access_token.c.revoked_at.is_(None)
        self._connection.execute(
            update(access_token)
            .where(speaks_for(principal.kind, principal_id), is_left)
            .values(revoked_at=at)
        )

    def _let_expire(self, principal: Principal, principal_id: int, at: datetime) -> None:
        """Let the tokens that would be valid for longer expire at this instant."""
        lives_longer = or_(access_token.c.expires_at.is_(None), access_token.c.expires_at > at)
        self._connection.execute(
            update(access_token)
            .where(
                speaks_for(principal.kind, principal_id), access_token.c.revoked_at.is_(None), lives_longer
            )
            .values(expires_at=at)
        )

    def _finish_about(
        self,
        event_type: EventType,
        principal: Principal,
        principal_id: int,
        now: datetime,
        details: dict[str, str],
    ) -> None:
        is_source = principal.kind is PrincipalKind.SOURCE
        line = Line(
            event_type,
            now,
            source_id=principal_id if is_source else None,
            provider_id=None if is_source else principal_id,
            details=details,
        )
        self._finish(line, principal.name if is_source else None)

    def _finish(self, line: Line, source_name: str | None) -> None:
        finish_with_events(Message(self._connection), [line], source_name)

    def _insert_named(self, table: Table, name: str, **values: Any) -> tuple[int, bool]:
        """Insert a row unless its name is taken, also if two calls race for it.

        :return: the id of the row with this name, and whether the row is new.
        """
        try:
            with self._connection.begin_nested():
                result = self._connection.execute(insert(table).values(name=name, **values))
                key: Any = result.inserted_primary_key
                return int(key[0]), True
        except exc.IntegrityError:
            taken_by = self._connection.execute(select(table.c.id).where(table.c.name == name)).scalar()
            if taken_by is None:
                raise  # The conflict was not about the name: a sequence that lags behind gave out an id again, say.
            return int(taken_by), False

    def _is_granted(self, source_id: int, provider_id: int) -> bool:
        statement = select(grant.c.source_id).where(
            grant.c.source_id == source_id, grant.c.provider_id == provider_id
        )
        return self._connection.execute(statement).first() is not None

    def _provider(self, provider_id: int) -> Provider:
        (found,) = find_providers(self._connection, select(provider).where(provider.c.id == provider_id))
        return found
