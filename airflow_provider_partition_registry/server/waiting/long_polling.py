"""Long polling: requests that wait for readiness or for the next event."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.types import Receive

from airflow_provider_partition_registry.domain.awaiting import Awaited
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.domain.waiting import WaitOutcome, WaitPolicy
from airflow_provider_partition_registry.server.observing.metrics import WAITING_CLIENTS
from airflow_provider_partition_registry.store.awaiting import news_of
from airflow_provider_partition_registry.store.poller import Poller

LONGEST_WAIT = 300.0  # seconds
POLL_INTERVAL = 1.0  # seconds, where there are no notifications; all waiting requests share one question
NOTIFIED_INTERVAL = 10.0  # seconds, where there are, in case that one is lost
HAS_WAITED = "partition_registry.has_waited"
"""Key in the scope of a request that has waited, whose duration says nothing about the service."""


class ClientGoneError(Exception):
    """The client that waited for the response has hung up."""


class LongPolls:
    """How long requests may wait. All waits end when the service is about to stop."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._is_over = False

    @asynccontextmanager
    async def limit(
        self, request: Request, kind: str, seconds: float | None
    ) -> AsyncIterator[asyncio.Timeout]:
        """Leave the block without an error when the time is over.

        :param kind: what the request waits for, as the metrics name it.
        """
        request.scope[HAS_WAITED] = True
        with WAITING_CLIENTS.labels(kind).track_inprogress(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self._is_over else seconds) as limit:
                self._limits.add(limit)
                try:
                    yield limit
                finally:
                    self._limits.discard(limit)

    def end(self) -> None:
        """End all present and future waits."""
        self._is_over = True
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())


@asynccontextmanager
async def while_present(request: Request) -> AsyncIterator[None]:
    """Leave the block when the client has hung up. The request's body must have been read before.

    :raises ClientGoneError: the client has hung up.
    """
    try:
        async with asyncio.timeout(None) as presence:
            leaving = asyncio.create_task(_end_when_gone(request.receive, presence))
            try:
                yield
            finally:
                leaving.cancel()
    except TimeoutError:
        if presence.expired():
            raise ClientGoneError from None
        raise


async def _end_when_gone(receive: Receive, presence: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    presence.reschedule(asyncio.get_running_loop().time())


async def wait_until_final(
    poller: Poller, questions: Sequence[Question], awaited: Awaited | None = None
) -> list[Answer]:
    """Wait until there is nothing left to wait for. The answers are explained only as far as the condition needs it.

    :param awaited: the condition that the questions are of; None if everything must be ready.
    :raises RegistryError: the store refuses to answer, for a reason that waiting does not cure.
    """
    news_for_it = (
        poller.updates(questions, POLL_INTERVAL)
        if awaited is None
        else news_of(awaited, poller, POLL_INTERVAL)
    )
    async with aclosing(news_for_it) as updates:
        async for news in updates:
            if news.answers is not None and is_final(news.answers, awaited):
                return list(news.answers)
    raise AssertionError("a watch never ends by itself")  # pragma: no cover - only by an exception


def is_final(answers: Sequence[Answer], awaited: Awaited | None = None) -> bool:
    """Whether there is nothing left to wait for: the condition is met, or some source is unknown.

    :param awaited: the condition; None if everything must be ready.
    """
    if awaited is not None:
        return awaited.is_decided(answers, datetime.now(UTC))
    return WaitPolicy().judge(answers) is not WaitOutcome.NOT_YET
