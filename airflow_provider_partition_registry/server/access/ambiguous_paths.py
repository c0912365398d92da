"""Refuses ambiguous URLs, which could name another source than the caller meant (parameter pollution).

Decoders put U+FFFD where a path or a query is not UTF-8, so that ``gr%FCn`` and ``gr%E4n`` become the same name. If a
parameter is given twice, some programs take the first value and some the last.
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.server.errors import respond_to_error


class PlainAddresses:
    """Lets a request through only if its URL can be read in one way alone.

    :param app: the application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] == "http":
            try:
                _check_path(scope["raw_path"])
                _check_query(scope["query_string"])
            except InvalidInputError as error:
                await respond_to_error(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _check_path(path: bytes) -> None:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise InvalidInputError(
            f"The path {path.decode('ascii', 'replace')!a} is not valid UTF-8. Write names in UTF-8, percent-encoded."
        ) from None


def _check_query(query: bytes) -> None:
    try:
        names = [
            name for name, _ in parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        ]
    except UnicodeDecodeError:
        # The query is not repeated in the message, as it may contain an access token.
        raise InvalidInputError(
            "The query is not valid UTF-8. Write names in UTF-8, percent-encoded."
        ) from None
    if len(names) != len(set(names)):
        twice = ", ".join(repr(name) for name, times in Counter(names).items() if times > 1)
        raise InvalidInputError(f"These query parameters are given more than once: {twice}. Give each once.")
