"""Who calls, and what they may (R10).

An administrator may do everything. A source's token is its owner's: it grants providers the right to write, and may do
to its source what they may. A provider's token writes as that provider, where it has a grant.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated
from urllib.parse import unquote

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    TokenRequiredError,
    UnknownTokenError,
)
from airflow_provider_partition_registry.domain.models import AccessToken, Principal, PrincipalKind
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.base import RegistryStore

_bearer = HTTPBearer(
    auto_error=False,
    description="A source's or provider's access token, or the administrator's.",
)


SESSION_COOKIE = "partition_registry_token"
"""Holds the token of somebody who signed in with a browser. It counts for reading only: no other site can make a
browser write."""
_READING = frozenset({"GET", "HEAD"})


async def _token_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str | None:
    if credentials:
        return credentials.credentials
    of_session = request.cookies.get(SESSION_COOKIE) if request.method in _READING else None
    return None if of_session is None else unquote(of_session)


Token = Annotated[str | None, Depends(_token_of)]
"""The bearer token of a request, when it only reads also that of a browser's session, or None."""


class Access:
    """Decides what a token may do.

    :param store: knows the tokens of sources and providers.
    """

    def __init__(self, store: RegistryStore, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings

    def require_reader(self, token: str | None) -> None:
        """Let only those read who may.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.has_private_reads and not self._is_administrator(token):
            self._identify(token)

    def require_registrar(self, token: str | None) -> None:
        """Let only those register sources who may: anybody, or the administrator if there is one.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.administrator_token is None or self._settings.is_open:
            return
        if not self._is_administrator(token):
            required(token)
            raise AccessDeniedError("Only the administrator of this service registers sources.")

    def require_writer(self, token: str | None, source_name: str, provider_name: str) -> None:
        """Let only the provider itself, or the source's owner, write as the provider into the source.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(
            token,
            Principal(PrincipalKind.PROVIDER, provider_name),
            Principal(PrincipalKind.SOURCE, source_name),
        )

    def require_owner(self, token: str | None, source_name: str) -> None:
        """Let only the source's owner decide over what others do there (R6).

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, Principal(PrincipalKind.SOURCE, source_name))

    def require_self(self, token: str | None, principal: Principal) -> None:
        """Let only a source or provider itself manage its tokens.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, principal)

    def require_own_token(self, token: str | None, token_id: str) -> AccessToken:
        """Look up a token for those who may manage it. To others it is as if there were none.

        :raises UnknownTokenError: no such token, or somebody else's.
        """
        is_trusted = self._settings.is_open or self._is_administrator(token)
        known = None if is_trusted else self._identify(token)
        found = self._store.get_token(token_id)
        if known is not None and known != found.principal:
            raise UnknownTokenError(token_id)
        return found

    def _require(self, token: str | None, *allowed: Principal) -> None:
        if self._settings.is_open or self._is_administrator(token):
            return
        known = self._identify(token)
        if known not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise AccessDeniedError(f"The access token is that of {known}. This takes the one of {wanted}.")

    def _identify(self, token: str | None) -> Principal:
        return self._store.identify_token(required(token)).principal

    def _is_administrator(self, token: str | None) -> bool:
        expected = self._settings.administrator_token
        # Of equal length, so that the comparison tells nothing of it.
        return bool(token and expected) and hmac.compare_digest(_hash(token), _hash(expected))


def required(token: str | None) -> str:
    """The token.

    :raises TokenRequiredError: there is none.
    """
    if not token:
        raise TokenRequiredError(
            "This takes an access token: send it as 'Authorization: Bearer prs_...'. A provider gets its own when it "
            "is registered, a source's owner when the source is."
        )
    return token


def _hash(text: str | None) -> bytes:
    return hashlib.sha256((text or "").encode()).digest()
