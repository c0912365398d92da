"""Authentication and authorization: who calls, and what they may do (R10).

An administrator may do everything. A source's token belongs to its owner: it grants providers the right to write, and
may do to the source what they may. A provider's token writes as that provider, where it has a grant.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    AdministratorTokenError,
    InvalidInputError,
    TokenRequiredError,
    UnknownTokenError,
)
from airflow_provider_partition_registry.domain.principals import AccessToken, Principal, PrincipalKind
from airflow_provider_partition_registry.server.access.attempt_limit import AttemptLimit
from airflow_provider_partition_registry.server.access.sessions import ADMINISTRATOR, Sessions, cookie_name
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryDatabase

_bearer = HTTPBearer(
    auto_error=False,
    description="A source's or provider's access token, or the administrator's.",
)


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """The access token or the session that a request presents, and where the request comes from.

    :param text: the token; None if there is none.
    :param client: the caller's address.
    :param session: a browser's session, which allows only reading.
    """

    text: str | None = field(repr=False)
    client: str
    session: str | None = field(default=None, repr=False)

    @classmethod
    def with_request(cls, text: str | None, request: Request, session: str | None = None) -> PresentedToken:
        """A token, or a session, that came with a request."""
        return cls(text, request.client.host if request.client else "", session)

    def required(self) -> str:
        """The token's text.

        :raises TokenRequiredError: there is none.
        """
        if not self.text:
            raise TokenRequiredError(
                "This call needs an access token: send it as 'Authorization: Bearer prs_...'; in an Airflow connection "
                "it is the password, for the command line the variable PARTITION_REGISTRY_ACCESS_TOKEN. A provider "
                "gets its own when it is registered, a source's owner when the source is."
            )
        return self.text


async def _token_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> PresentedToken:
    if len(request.headers.getlist("Authorization")) > 1:  # Some programs take the first, and some the last.
        raise InvalidInputError("The request has several Authorization headers. Send one.")
    if credentials:
        return PresentedToken.with_request(credentials.credentials, request)
    # Writing takes a token in a header, which browsers do not add by themselves, so a session cannot write.
    session = request.cookies.get(cookie_name(request)) if request.method == "GET" else None
    return PresentedToken.with_request(None, request, session)


Token = Annotated[PresentedToken, Depends(_token_of)]
"""The bearer token of a request or, if it only reads, a browser's session in its place."""


class Access:
    """Decides what a token may do.

    :param store: knows the tokens of sources and providers.
    """

    def __init__(self, store: RegistryDatabase, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._attempts = AttemptLimit(settings.wrong_tokens_per_minute)
        self._sessions = Sessions(store, settings.administrator_token)

    @contextmanager
    def limited(self, token: PresentedToken) -> Iterator[str]:
        """Allow the token's text to be tried; callers that try too many wrong ones are rate limited.

        :raises TokenRequiredError: there is none.
        :raises TooManyAttemptsError: too many wrong tokens came from this address.
        """
        text = token.required()
        with self._attempts.counting(text, client=token.client):
            yield text

    @contextmanager
    def granting(self, token: PresentedToken, provider_token: str | None) -> Iterator[tuple[str, str | None]]:
        """Allow a source's token to be tried for granting a provider the right to write (R10).

        :param provider_token: with which an existing provider agrees.
        :return: the source's token, and the provider's as the store takes it: None if nobody has to agree.
        :raises TokenRequiredError: the source's token is missing.
        :raises AdministratorTokenError: it is the administrator's, which does not say which source is meant.
        :raises TooManyAttemptsError: too many wrong tokens came from this address.
        """
        text, agreeing = token.required(), provider_token or ""
        with self._attempts.counting(text, *filter(None, [agreeing]), client=token.client):
            if self._is_administrators(text):
                raise AdministratorTokenError
            needs_nobody = self._settings.is_open or self._is_administrators(agreeing)
            yield text, None if needs_nobody else agreeing

    def identify(self, token: PresentedToken) -> AccessToken:
        """Say whose the token is.

        :raises InvalidTokenError: it is not valid.
        :raises AdministratorTokenError: it is the administrator's, about which there is nothing else to say.
        """
        with self.limited(token) as text:
            if self._is_administrators(text):
                raise AdministratorTokenError
            return self._store.identify_token(text)

    def begin_session(self, token: PresentedToken) -> str:
        """Let a browser read without the token from now on.

        :raises TokenRequiredError: there is none.
        :raises InvalidTokenError: it is not valid.
        :raises TooManyAttemptsError: too many wrong tokens came from this address.
        """
        with self.limited(token) as text:
            is_administrators = self._is_administrators(text)
            who = ADMINISTRATOR if is_administrators else self._store.identify_token(text).id
        return self._sessions.begin(who)

    def require_reader(self, token: PresentedToken) -> None:
        """Check that the caller may read.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.has_private_reads and not self._is_in_session(token):
            self._principal_of(token)

    def require_reader_still(self, token: PresentedToken) -> None:
        """Check that a caller who was let in may still read. A token that has ended does not count as a wrong one.

        :raises InvalidTokenError: the token has expired or was revoked meanwhile.
        """
        if not self._settings.has_private_reads or self._is_in_session(token):
            return
        text = token.text or ""  # None if a session has ended
        if not self._is_administrators(text):
            self._store.identify_token(text)

    def require_registrar(self, token: PresentedToken) -> None:
        """Check that the caller may register sources: anybody may, or only the administrator if there is one.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.administrator_token is None or self._settings.is_open:
            return
        if self._principal_of(token) is not None:
            raise AccessDeniedError("Only the administrator of this service registers sources.")

    def require_writer(self, token: PresentedToken, source_name: str, provider_name: str) -> None:
        """Check that the caller is the provider itself, or the source's owner, so that it may write.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(
            token,
            Principal(PrincipalKind.PROVIDER, provider_name),
            Principal(PrincipalKind.SOURCE, source_name),
        )

    def require_owner(self, token: PresentedToken, source_name: str) -> None:
        """Check that the caller owns the source, so that it may overrule its providers (R6).

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, Principal(PrincipalKind.SOURCE, source_name))

    def require_self(self, token: PresentedToken, principal: Principal) -> None:
        """Check that the caller is the source or provider itself, so that it may manage its tokens.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, principal)

    def require_own_token(self, token: PresentedToken, token_id: str) -> AccessToken:
        """Look up a token for a caller who may manage it. For others it does not exist.

        :raises UnknownTokenError: there is no such token, or it is somebody else's.
        """
        principal = None if self._settings.is_open else self._principal_of(token)
        found = self._store.get_token(token_id)
        if principal is not None and principal != found.principal:
            raise UnknownTokenError(token_id)
        return found

    def _is_in_session(self, token: PresentedToken) -> bool:
        """Whether the session is open. One that has ended is not counted as a wrong token, as nobody can guess one."""
        return token.text is None and token.session is not None and self._sessions.is_open(token.session)

    def _require(self, token: PresentedToken, *allowed: Principal) -> None:
        if self._settings.is_open:
            return
        principal = self._principal_of(token)
        if principal is not None and principal not in allowed:
            wanted = " or ".join(map(str, allowed))
            raise AccessDeniedError(
                f"The access token is that of {principal}. This call needs the token of {wanted}: send that one, or "
                f"ask whoever holds it."
            )

    def _principal_of(self, token: PresentedToken) -> Principal | None:
        """The principal that the token speaks for; None for the administrator."""
        with self.limited(token) as text:
            return None if self._is_administrators(text) else self._store.identify_token(text).principal

    def _is_administrators(self, text: str) -> bool:
        expected = self._settings.administrator_token
        # Both hashes have the same length, so that the comparison reveals nothing about the token.
        return expected is not None and hmac.compare_digest(_hash(text), _hash(expected))


def _hash(text: str) -> bytes:
    # JSON and the environment may contain text that is not valid UTF-8.
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
