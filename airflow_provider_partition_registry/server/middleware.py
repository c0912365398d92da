"""What every request passes through: a request id, a limit on its body, common response headers, a line in the log."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextvars import ContextVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.server.access.masking import Mask
from airflow_provider_partition_registry.server.observing.metrics import count_request
from airflow_provider_partition_registry.server.waiting.long_polling import HAS_WAITED
from airflow_provider_partition_registry.store.wire.answers import VERSION_HEADER

log = logging.getLogger("airflow_provider_partition_registry.server.access_log")

LARGEST_BODY = 4 * 1024 * 1024  # bytes: 10,000 questions take about two million
BODY_TIMEOUT = 30.0  # seconds for a body to arrive
REQUEST_ID_HEADER = "X-Request-ID"
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Polled every few seconds by operators' tools; while all is well, they get no line in the log."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With "no-referrer", browsers would not tell us either that a form is our own.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    # Pages load nothing from elsewhere; that of /redoc would fetch a logo.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; frame-ancestors 'none'"
    ),
}

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""The id of the request that is being served, a correlation id for lines in the log."""


class Envelope:
    """Wraps the application.

    :param app: the application.
    :param mask: recognises access tokens, which must not serve as request ids.
    """

    def __init__(self, app: ASGIApp, mask: Mask) -> None:
        self._app = app
        self._mask = mask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        its_id = self._id_of(Headers(scope=scope))
        token = request_id.set(its_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = its_id
                headers[VERSION_HEADER] = __version__
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), send_with_headers)
        finally:
            _tell(scope, status, time.perf_counter() - began)
            request_id.reset(token)

    def _id_of(self, headers: Headers) -> str:
        given = headers.get(REQUEST_ID_HEADER, "")
        is_fit = _REQUEST_ID.fullmatch(given) and not self._mask.is_needed_for(given)
        return given if is_fit else uuid4().hex


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Refuse a body that is too large or does not arrive. Waiting for the client to hang up has no time-out."""
    length = Headers(scope=scope).get("Content-Length", "0")
    announced = int(length) if length.isdigit() else 0
    received = 0
    is_complete = False
    deadline: float | None = None
    too_large = HTTPException(413, f"a body has at most {LARGEST_BODY} bytes")

    async def receive_so_much() -> Message:
        nonlocal received, is_complete, deadline
        if announced > LARGEST_BODY:
            raise too_large
        deadline = deadline or asyncio.get_running_loop().time() + BODY_TIMEOUT
        try:
            async with asyncio.timeout_at(None if is_complete else deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body has not arrived within {BODY_TIMEOUT:g} s") from None
        received += len(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        if received > LARGEST_BODY:
            raise too_large
        return message

    return receive_so_much


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """Count the request, and log it. The query is left out, as it may contain an access token."""
    route = getattr(scope.get("route"), "path", None)
    count_request(scope["method"], route, status, None if HAS_WAITED in scope else seconds)
    log.log(
        logging.DEBUG if route in HEALTH_PATHS and status == 200 else logging.INFO,
        "%s %s %s",
        scope["method"],
        scope["path"],
        status,
        extra={
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "client": (scope.get("client") or ("-",))[0],
        },
    )
