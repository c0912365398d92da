"""Sessions of browsers, which open nothing but reading.

A browser sends a cookie to whatever else is served under the same host name, on any port. So it holds no access token
but a statement that whoever signed in may read until then, authenticated with a key that derives from what the registry
keeps of the token. Every worker process knows it, also after a restart; it ends with the token; nothing is stored.
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
"""Over TLS: browsers let nobody set one of such a name but the very host, over TLS."""
ADMINISTRATOR = "administrator"
"""In place of the id of a token; none looks like it."""
_FORM = re.compile(
    rf"(?P<statement>(?P<who>{ADMINISTRATOR}|[0-9a-f]{{16}})\.(?P<expires_at>[0-9]{{1,12}}))\.(?P<signature>[0-9a-f]{{64}})"
)


class KnowsKeys(Protocol):
    """What knows a key for each valid access token."""

    def session_key(self, token_id: str) -> bytes | None:
        """The key, or None if the token is not valid (any more)."""


class Sessions:
    """Begins sessions, and tells whether one is open.

    :param keys: of the tokens of sources and providers.
    """

    def __init__(self, keys: KnowsKeys, administrator_token: str | None) -> None:
        self._keys = keys
        self._administrator_token = administrator_token

    def begin(self, who: str) -> str:
        """A session, as the cookie holds it.

        :param who: the id of the token that somebody signed in with, or :data:`ADMINISTRATOR`.
        :raises InvalidTokenError: the token has just ended.
        """
        key = self._key_of(who)
        if key is None:
            raise InvalidTokenError
        statement = f"{who}.{int(time.time()) + LIFETIME}"
        return f"{statement}.{_signature(statement, key)}"

    def is_open(self, session: str) -> bool:
        """Whether it was begun here, is not over, and the token is still valid."""
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
        """Somebody chose that token: nobody who got hold of a cookie shall find it by trying what people choose."""
        if self._administrator_token is None:
            return None
        chosen = self._administrator_token.encode(errors="surrogatepass")
        return hashlib.scrypt(chosen, salt=COOKIE.encode(), n=2**14, r=8, p=1)


def cookie_name(request: Request) -> str:
    """Under which name the browser that sent a request keeps its session."""
    return SECURE_COOKIE if request.url.scheme == "https" else COOKIE


def _signature(statement: str, key: bytes) -> str:
    return hmac.digest(key, statement.encode(), "sha256").hex()
