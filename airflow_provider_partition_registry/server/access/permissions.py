"""Who calls, and what they may (R10).

An administrator may do everything. A source's token is its owner's: it grants providers the right to write, and may do
to its source what they may. A provider's token writes as that provider, where it has a grant.
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
    """The access token that a request presents, or a session in its place, and where it comes from.

    :param text: None if it presents none.
    :param client: the caller's address.
    :param session: of a browser; it counts for reading alone.
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
    if len(request.headers.getlist("Authorization")) > 1:  # Some programs take the first and some the last.
        raise InvalidInputError("The request has several Authorization headers. Send one.")
    if credentials:
        return PresentedToken.with_request(credentials.credentials, request)
    # Whatever writes takes the token in a header, which browsers do not add by themselves.
    session = request.cookies.get(cookie_name(request)) if request.method == "GET" else None
    return PresentedToken.with_request(None, request, session)


Token = Annotated[PresentedToken, Depends(_token_of)]
"""The bearer token of a request; in place of one, if it only reads, a browser's session."""


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
        """Let the token's text be tried; whoever tries too many wrong ones is held off.

        :raises TokenRequiredError: there is none.
        :raises TooManyAttemptsError: this address tried too many.
        """
        text = token.required()
        with self._attempts.counting(text, client=token.client):
            yield text

    @contextmanager
    def granting(self, token: PresentedToken, provider_token: str | None) -> Iterator[tuple[str, str | None]]:
        """Let a source's token be tried that grants a provider the right to write (R10).

        :param provider_token: by which the provider agrees, if it exists.
        :return: the source's token, and the other as the store takes it: None if nobody has to agree.
        :raises TokenRequiredError: there is no source's token.
        :raises AdministratorTokenError: it is the administrator's, which says of no source that it is meant.
        :raises TooManyAttemptsError: this address tried too many wrong ones.
        """
        text, agreeing = token.required(), provider_token or ""
        with self._attempts.counting(text, *filter(None, [agreeing]), client=token.client):
            if self._is_administrators(text):
                raise AdministratorTokenError
            needs_nobody = self._settings.is_open or self._is_administrators(agreeing)
            yield text, None if needs_nobody else agreeing

    def identify(self, token: PresentedToken) -> AccessToken:
        """Whose the token is.

        :raises InvalidTokenError: nobody's.
        :raises AdministratorTokenError: the administrator's, of which there is nothing else to tell.
        """
        with self.limited(token) as text:
            if self._is_administrators(text):
                raise AdministratorTokenError
            return self._store.identify_token(text)

    def begin_session(self, token: PresentedToken) -> str:
        """Let a browser read from now on without the token.

        :raises TokenRequiredError: there is none.
        :raises InvalidTokenError: it is nobody's.
        :raises TooManyAttemptsError: this address tried too many.
        """
        with self.limited(token) as text:
            is_administrators = self._is_administrators(text)
            who = ADMINISTRATOR if is_administrators else self._store.identify_token(text).id
        return self._sessions.begin(who)

    def require_reader(self, token: PresentedToken) -> None:
        """Let only those read who may.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.has_private_reads and not self._is_in_session(token):
            self._principal_of(token)

    def require_reader_still(self, token: PresentedToken) -> None:
        """Let somebody who was let in read on. Being wrong now is not held against the address.

        :raises InvalidTokenError: the token has expired or was revoked meanwhile.
        """
        if not self._settings.has_private_reads or self._is_in_session(token):
            return
        text = token.text or ""  # of a session that has ended
        if not self._is_administrators(text):
            self._store.identify_token(text)

    def require_registrar(self, token: PresentedToken) -> None:
        """Let only those register sources who may: anybody, or the administrator if there is one.

        :raises AccessDeniedError: the caller may not.
        """
        if self._settings.administrator_token is None or self._settings.is_open:
            return
        if self._principal_of(token) is not None:
            raise AccessDeniedError("Only the administrator of this service registers sources.")

    def require_writer(self, token: PresentedToken, source_name: str, provider_name: str) -> None:
        """Let only the provider itself, or the source's owner, write as the provider into the source.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(
            token,
            Principal(PrincipalKind.PROVIDER, provider_name),
            Principal(PrincipalKind.SOURCE, source_name),
        )

    def require_owner(self, token: PresentedToken, source_name: str) -> None:
        """Let only the source's owner decide over what others do there (R6).

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, Principal(PrincipalKind.SOURCE, source_name))

    def require_self(self, token: PresentedToken, principal: Principal) -> None:
        """Let only a source or provider itself manage its tokens.

        :raises AccessDeniedError: the caller may not.
        """
        self._require(token, principal)

    def require_own_token(self, token: PresentedToken, token_id: str) -> AccessToken:
        """Look up a token for those who may manage it. To others it is as if there were none.

        :raises UnknownTokenError: no such token, or somebody else's.
        """
        principal = None if self._settings.is_open else self._principal_of(token)
        found = self._store.get_token(token_id)
        if principal is not None and principal != found.principal:
            raise UnknownTokenError(token_id)
        return found

    def _is_in_session(self, token: PresentedToken) -> bool:
        """A session that has ended, or is another service's, is no wrong token: nobody can guess one."""
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
        """Whom the token speaks for; None for the administrator."""
        with self.limited(token) as text:
            return None if self._is_administrators(text) else self._store.identify_token(text).principal

    def _is_administrators(self, text: str) -> bool:
        expected = self._settings.administrator_token
        # Of equal length, so that the comparison tells nothing of it.
        return expected is not None and hmac.compare_digest(_hash(text), _hash(expected))


def _hash(text: str) -> bytes:
    # Whatever JSON or the environment may hold; some of it is not valid UTF-8.
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
