"""Requests that wait: for readiness, or for what happens next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

from airflow_provider_partition_registry.domain.models import Question, Readiness
from airflow_provider_partition_registry.store.base import Answer, RegistryStore
from airflow_provider_partition_registry.store.watch import Watcher

LONGEST_WAIT = 300.0  # seconds
POLL_INTERVAL = 1.0  # seconds, where nothing tells of changes; all who wait share one question


class Patience:
    """How long requests may wait. All waits end when the service is about to stop."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self._is_over = False

    @asynccontextmanager
    async def limit(self, seconds: float | None) -> AsyncIterator[None]:
        """Leave the block when the time is over, without an error."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if self._is_over else seconds) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)

    def end(self) -> None:
        """End all waits, and those to come."""
        self._is_over = True
        for limit in self._limits:
            limit.reschedule(asyncio.get_running_loop().time())


async def wait_until_ready(
    watcher: Watcher, store: RegistryStore, questions: Sequence[Question], patience: Patience, seconds: float
) -> list[Answer]:
    """Answer when everything asked for is ready, or a source does not exist, or the time is over.

    :raises StoreUnavailableError: when the time was over, the store did not answer.
    """
    async with patience.limit(seconds), aclosing(watcher.watch(questions, POLL_INTERVAL)) as updates:
        async for news in updates:
            if news.answers is not None and is_final(news.answers):
                return list(news.answers)
    return await asyncio.to_thread(store.check_readiness_many, questions)


def is_final(answers: Sequence[Answer]) -> bool:
    """Whether there is nothing to wait for: everything is ready, or a source does not exist."""
    return all(isinstance(answer, Readiness) and answer.is_ready for answer in answers) or any(
        not isinstance(answer, Readiness) for answer in answers
    )
