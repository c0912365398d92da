"""News for somebody who waits for a condition: also when an alternative begins to count and nothing has happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime

from airflow_provider_partition_registry.domain.awaiting import Awaited
from airflow_provider_partition_registry.store.poller import Poller
from airflow_provider_partition_registry.store.waiters import News


async def news_of(awaited: Awaited, poller: Poller, poll_interval: float) -> AsyncGenerator[News, None]:
    """Yield the answers to all questions now, and again whenever what they mean may have changed.

    :param poll_interval: seconds between two questions at most; notifications only shorten it.
    :raises RegistryError: the store refuses to answer, for a reason that does not pass with time.
    """
    while True:
        moment = awaited.next_moment(datetime.now(UTC))
        # Anew for each moment, as whoever comes is asked for at once: an alternative is decided by answers of its time.
        async with aclosing(
            poller.updates(
                awaited.questions,
                poll_interval,
                is_decided=lambda answers: awaited.is_decided(answers, datetime.now(UTC)),
                explains=True if awaited.needs_reasons else None,
            )
        ) as updates:
            while (news := await _next_before(moment, updates)) is not None:
                yield news


async def _next_before(moment: datetime | None, updates: AsyncGenerator[News, None]) -> News | None:
    """The next news; None, and no more after that, if there are none before the moment."""
    if moment is None:
        return await anext(updates)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    try:
        async with asyncio.timeout(max(0.0, seconds)) as limit:
            return await anext(updates)
    except TimeoutError:
        if not limit.expired():
            raise
        return None
