"""How to reach a web service: directly, or through the proxy that the environment names."""

from __future__ import annotations

import ssl
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager, make_headers

from airflow_provider_partition_registry.domain.errors import InvalidInputError


def open_pool(url: str, *, limit: int, trust: ssl.SSLContext | None) -> HTTPConnectionPool:
    """A pool of connections, through a proxy if ``HTTPS_PROXY``, ``HTTP_PROXY`` or ``ALL_PROXY`` name one.

    :param url: of the service; ``NO_PROXY`` may exempt its host.
    :param limit: how many connections it keeps.
    :param trust: decides which certificates are trusted; None if there is no encryption.
    :raises InvalidInputError: the proxy is of another kind.
    """
    proxy = _proxy_for(url)
    if proxy is None:
        manager = PoolManager(maxsize=limit, ssl_context=trust)
    else:
        headers = _authorization(proxy)
        manager = ProxyManager(proxy, proxy_headers=headers, maxsize=limit, ssl_context=trust)
    return manager.connection_from_url(url)


def _proxy_for(url: str) -> str | None:
    service = urlsplit(url)
    if proxy_bypass(service.hostname or "") or proxy_bypass(service.netloc):
        return None
    named = getproxies()
    proxy = named.get(service.scheme) or named.get("all")
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")) or not urlsplit(proxy).hostname:
        raise InvalidInputError(
            f"The proxy that the environment names for {url} is neither http://host:port nor https://host:port. "
            f"Name another one in {service.scheme.upper()}_PROXY, or except {service.hostname} in NO_PROXY."
        )
    return proxy


def _authorization(proxy: str) -> dict[str, str] | None:
    """The header for a proxy whose URL names a user."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    return make_headers(proxy_basic_auth=f"{unquote(parts.username)}:{unquote(parts.password or '')}")
