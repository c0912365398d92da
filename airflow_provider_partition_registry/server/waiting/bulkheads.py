"""Bulkheads: if one kind of call is held up, the others are not.

Readers, writers and health checks have separate threads and database connections. Readers run in the framework's shared
thread pool; this module keeps writers and health checks out of it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi.routing import APIRoute

from airflow_provider_partition_registry.domain.errors import StoreUnavailableError

T = TypeVar("T")

TURN_TIMEOUT = 5.0  # seconds a writer waits for its turn; clients wait ten for the whole response


class NotBegunError(StoreUnavailableError):
    """A writer's turn did not come in time. The message tells nothing about the database that callers may not know."""


class WriterBulkhead:
    """A thread pool for writers, of which one writes to each source at a time.

    The database serialises a source's writers by a lock on the source's row. Threads that waited for that lock would
    be missing for writers of other sources. So writers wait here in the order of their arrival, where waiting takes
    neither a thread nor a connection.

    :param count: how many may write at once; each has a database connection.
    """

    def __init__(self, count: int) -> None:
        self._slots = asyncio.Semaphore(count)
        self._threads = CapacityLimiter(count)
        self._turns: WeakValueDictionary[str | None, asyncio.Lock] = WeakValueDictionary()

    async def run(self, lane: str | None, write: Callable[[], T]) -> T:
        """Run a write in a thread when its turn comes.

        :param lane: writers of the same lane write one after the other.
        :raises StoreUnavailableError: the turn did not come in time.
        """
        turn = self._turns.setdefault(lane, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_TIMEOUT) as limit, turn, self._slots:
                limit.reschedule(None)
                return await run_sync(write, limiter=self._threads)
        except TimeoutError:
            if not limit.expired():
                raise
            raise NotBegunError(
                f"Other writers of the same source, or of many others, have been held up for {TURN_TIMEOUT:g} s, so "
                f"this call was not begun and has changed nothing. Try again; if this lasts, look which session in the "
                f"database keeps a source's row locked."
            ) from None


class HealthCheck:
    """Runs health checks in threads of their own.

    :param ping: raises an error if the store cannot serve.
    """

    def __init__(self, ping: Callable[[], None]) -> None:
        self._ping = ping
        self._threads = CapacityLimiter(2)
        self._pinging: asyncio.Task[None] | None = None

    async def ping(self) -> None:
        """Return if the store can serve. Simultaneous callers share one check.

        :raises RegistryError: it cannot.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self.run(self._ping))
        # A caller that hangs up must not cancel the check for the others.
        await asyncio.shield(self._pinging)

    async def run(self, call: Callable[[], T]) -> T:
        """Call a function in one of these threads."""
        return await run_sync(call, limiter=self._threads)


class BulkheadRoute(APIRoute):
    """A route that takes one of the writers' threads, unless it only reads or is a coroutine, which waits by itself."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        only_reads = set(options.get("methods") or ()) <= _READING
        if not only_reads and not inspect.iscoroutinefunction(endpoint):
            endpoint = _in_turn(endpoint)
        super().__init__(path, endpoint, **options)


_READING = frozenset({"GET", "HEAD"})


def _in_turn(endpoint: Callable[..., T]) -> Callable[..., Any]:
    @functools.wraps(endpoint)
    async def write_in_turn(**arguments: Any) -> T:
        writers: WriterBulkhead = arguments["service"].writers
        return await writers.run(_lane_of(arguments), functools.partial(endpoint, **arguments))

    return write_in_turn


def _lane_of(arguments: Mapping[str, Any]) -> str | None:
    """The source that a call names, in a parameter, its body or its key; otherwise its token, which is a source's."""
    named = (
        arguments.get("source_name"),
        *(getattr(each, "source_name", None) for each in arguments.values()),
    )
    of_token: str | None = arguments["token"].text
    return next((name for name in named if name), of_token)
