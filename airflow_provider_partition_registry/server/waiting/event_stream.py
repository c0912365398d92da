"""Responses as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT
from starlette.types import Receive, Scope, Send

from airflow_provider_partition_registry.server.waiting.long_polling import ClientGoneError, while_present

PING_INTERVAL = 15.0  # seconds; proxies end responses in which nothing has been sent, mostly after 60
MEDIA_TYPE = "text/event-stream"

DESCRIPTION: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPE: {
                "itemSchema": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("data", "event", "id")},
                }
            }
        }
    }
}
"""Describes such a response, for OpenAPI."""


class EventStream(StreamingResponse):
    """Sends messages until there are no more, or the client has hung up; and comments, so that proxies keep it open.

    FastAPI's own response sends each event by itself, after it was handed from task to task several times, and so an
    event loop that is busy falls behind although its processor is not. Here all events that there are travel together.

    :param messages: each of one or several events.
    """

    media_type = None  # FastAPI would describe the whole response as one text

    def __init__(self, messages: AsyncGenerator[bytes, None], status_code: int = 200) -> None:
        # nginx is asked not to keep events in its buffers.
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(messages, status_code, headers, MEDIA_TYPE)
        self._messages = messages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything."""
        pinging = asyncio.create_task(_ping(send))
        try:
            with suppress(ClientGoneError):
                async with while_present(Request(scope, receive)), aclosing(self._messages):
                    await self.stream_response(send)
        finally:
            pinging.cancel()


async def _ping(send: Send) -> None:
    while True:
        await asyncio.sleep(PING_INTERVAL)
        await send({"type": "http.response.body", "body": KEEPALIVE_COMMENT, "more_body": True})
