"""Browsers' sessions, which allow only reading.

A browser sends its cookies to whatever is served under the same host name, on any port. So the cookie holds no access
token, but a statement of who signed in and until when, authenticated with a key that is derived from what the registry
keeps of the token. Every worker process can derive that key, also after a restart; the session ends with the token; and
nothing is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from functools import cached_property
from typing import Protocol

from starlette.requests import Request

from airflow_provider_partition_registry.domain.errors import InvalidTokenError

LIFETIME = 12 * 3600  # seconds
COOKIE = "partition_registry_session"
SECURE_COOKIE = f"__Host-{COOKIE}"
"""The name used over TLS: browsers accept a cookie of this name only from the host itself, over TLS."""
ADMINISTRATOR = "administrator"
"""Stands in place of a token's id, and looks like none."""
_FORM = re.compile(
    rf"(?P<statement>(?P<who>{ADMINISTRATOR}|[0-9a-f]{{16}})\.(?P<expires_at>[0-9]{{1,12}}))\.(?P<signature>[0-9a-f]{{64}})"
)


class KnowsKeys(Protocol):
    """Knows a key for each valid access token."""

    def session_key(self, token_id: str) -> bytes | None:
        """The key, or None if the token is not valid."""


class Sessions:
    """Begins sessions, and says whether they are open.

    :param keys: knows the keys for the tokens of sources and providers.
    """

    def __init__(self, keys: KnowsKeys, administrator_token: str | None) -> None:
        self._keys = keys
        self._administrator_token = administrator_token

    def begin(self, who: str) -> str:
        """Begin a session; returns the cookie's value.

        :param who: the id of the token that somebody signed in with, or :data:`ADMINISTRATOR`.
        :raises InvalidTokenError: the token is no longer valid.
        """
        key = self._key_of(who)
        if key is None:
            raise InvalidTokenError
        statement = f"{who}.{int(time.time()) + LIFETIME}"
        return f"{statement}.{_signature(statement, key)}"

    def is_open(self, session: str) -> bool:
        """Whether the session was begun here, has not ended, and its token is still valid."""
        found = _FORM.fullmatch(session)
        key = self._key_of(found["who"]) if found else None
        if found is None or key is None:
            return False
        is_ours = hmac.compare_digest(_signature(found["statement"], key), found["signature"])
        return is_ours and time.time() < int(found["expires_at"])

    def _key_of(self, who: str) -> bytes | None:
        return self._administrators_key if who == ADMINISTRATOR else self._keys.session_key(who)

    @cached_property
    def _administrators_key(self) -> bytes | None:
        """A slow hash (scrypt), as a person chose the token: a stolen cookie must not allow guessing it."""
        if self._administrator_token is None:
            return None
        chosen = self._administrator_token.encode(errors="surrogatepass")
        return hashlib.scrypt(chosen, salt=COOKIE.encode(), n=2**14, r=8, p=1)


def cookie_name(request: Request) -> str:
    """The name of the session's cookie for the browser that sent a request."""
    return SECURE_COOKIE if request.url.scheme == "https" else COOKIE


def _signature(statement: str, key: bytes) -> str:
    return hmac.digest(key, statement.encode(), "sha256").hex()
