"""Refuses requests that another site makes a browser send: cross-site request forgery (CSRF) and DNS rebinding.

Most calls carry a token, which no other site has. Some need none: with ``--open`` every call, and otherwise registering
a source if there is no administrator. A form on any site could send those.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_partition_registry.domain.errors import AccessDeniedError
from airflow_provider_partition_registry.server.errors import respond_to_error
from airflow_provider_partition_registry.server.settings import ServiceSettings, is_this_host

_ASKING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})


class OwnSite:
    """Refuses what a browser sends on behalf of another site. Clients other than browsers name no site and may pass.

    :param app: the application behind it.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope["method"], Headers(scope=scope))
        except AccessDeniedError as error:
            await respond_to_error(Request(scope), error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("Host", "")
        if self._settings.is_for_this_host_alone and not is_this_host(_name_in(host)):
            # Any site can let its name resolve to this host; to the browser it is then the same site.
            raise AccessDeniedError(
                f"This service takes no credentials (--open) and serves only its own host: call it localhost or "
                f"127.0.0.1, not '{host}', or start it with --open-to-the-network as well."
            )
        if method not in _ASKING and (origin := _foreign(headers, host)):
            raise AccessDeniedError(
                f"A browser sent this on behalf of another site ({origin}), which may not write here. If it was a page "
                f"of this service, the proxy in front must pass on the Host header unchanged, including the port."
            )


def _foreign(headers: Headers, host: str) -> str | None:
    """The other site that made a browser send a request, or None."""
    relation, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if relation is not None:
        return None if relation in _OWN else origin or relation
    # Over plain HTTP browsers send only the origin.
    if origin is None or _authority_in(origin) == host.lower():
        return None
    return origin


def _authority_in(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_in(host: str) -> str:
    """The name or address in a Host header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
