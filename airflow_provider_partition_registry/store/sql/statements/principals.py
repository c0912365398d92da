"""Looking up providers with their grants, and access tokens with whom they speak for (R10)."""

from __future__ import annotations

import hmac
from collections import defaultdict
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_partition_registry.domain import tokens
from airflow_provider_partition_registry.domain.errors import InvalidTokenError, UnknownTokenError
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    Principal,
    PrincipalKind,
    Provider,
)
from airflow_provider_partition_registry.store.sql.database.clock import DatabaseNow, TellTime
from airflow_provider_partition_registry.store.sql.schema.tables import access_token, grant, provider, source

REFERENCES = {
    PrincipalKind.SOURCE: access_token.c.source_id,
    PrincipalKind.PROVIDER: access_token.c.provider_id,
}
"""The column that says whom a token speaks for; the other one is NULL."""

_TOKENS = select(
    access_token,
    source.c.name.label("source_name"),
    provider.c.name.label("provider_name"),
    DatabaseNow().label("now"),
).select_from(access_token.outerjoin(source).outerjoin(provider))


def identify(connection: Connection, text: str, tell_time: TellTime) -> AccessToken:
    """The valid token with this text, found by one statement.

    :raises InvalidTokenError: there is no such valid token.
    """
    token_id, secret = tokens.split_token(text)
    row: Any = connection.execute(_TOKENS.where(access_token.c.id == token_id)).first()
    # The secret is always compared, and first, so that nobody without it learns anything about the token.
    is_right = tokens.is_secret(secret, row.secret_hash if row else tokens.HASH_OF_NOTHING)
    if row is None or not is_right:
        raise InvalidTokenError
    token = to_access_token(row)
    if not token.is_valid_at(tell_time(row.now)):
        raise InvalidTokenError
    return token


def session_key(connection: Connection, token_id: str, tell_time: TellTime) -> bytes | None:
    """A key derived from what is stored of a valid token; None if there is no such token."""
    row: Any = connection.execute(_TOKENS.where(access_token.c.id == token_id)).first()
    if row is None or not to_access_token(row).is_valid_at(tell_time(row.now)):
        return None
    return hmac.digest(bytes.fromhex(row.secret_hash), b"partition-registry session", "sha256")


def find_token(connection: Connection, token_id: str) -> AccessToken:
    """The token with this id, valid or not.

    :raises UnknownTokenError: there is none.
    """
    row = connection.execute(_TOKENS.where(access_token.c.id == token_id)).first()
    if row is None:
        raise UnknownTokenError(token_id)
    return to_access_token(row)


def tokens_of(kind: PrincipalKind, principal_id: ColumnElement, after: str | None) -> Select:
    """The tokens of a source or a provider, in the order in which they were issued.

    :param after: the id of the token before the first one wanted.
    """
    order = (access_token.c.created_at, access_token.c.id)
    statement = _TOKENS.where(speaks_for(kind, principal_id)).order_by(*order)
    if after is None:
        return statement
    earlier = access_token.alias("earlier")
    last = select(earlier.c.created_at, earlier.c.id).where(earlier.c.id == after).scalar_subquery()
    return statement.where(tuple_(*order) > last)


def speaks_for(kind: PrincipalKind, principal_id: int | ColumnElement) -> ColumnElement:
    """Condition: the token belongs to the source or provider."""
    return REFERENCES[kind] == principal_id


def to_access_token(row: Any) -> AccessToken:
    """Read a token; the row contains the names of its source and provider."""
    if row.source_name is None:
        principal = Principal(PrincipalKind.PROVIDER, row.provider_name)
    else:
        principal = Principal(PrincipalKind.SOURCE, row.source_name)
    return AccessToken(row.id, principal, row.created_at, row.expires_at, row.revoked_at)


def find_providers(connection: Connection, statement: Select) -> list[Provider]:
    """Providers with the names of the sources they hold grants on, in the order of their names.

    :param statement: selects providers.
    """
    found = statement.subquery()
    rows = connection.execute(
        select(found, source.c.name.label("source_name"))
        .select_from(
            found.outerjoin(grant, grant.c.provider_id == found.c.id).outerjoin(
                source, source.c.id == grant.c.source_id
            )
        )
        .order_by(found.c.name, source.c.name)
    ).all()
    names = defaultdict(list)
    for row in rows:
        names[row.id].append(row.source_name)
    unique = {row.id: row for row in rows}
    return [
        Provider(row.name, row.registered_at, row.id, tuple(name for name in names[row.id] if name))
        for row in unique.values()
    ]
