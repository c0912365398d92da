"""Bulkheads: what holds up one kind of call holds up no other.

Readers, writers and health checks have threads and connections to the database of their own. Readers run in the threads
that the framework lends everybody; what is here keeps writers and health checks out of these.
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

TURN_TIMEOUT = (
    5.0  # seconds until a writer has its turn; clients wait for ten, the database's answer included
)


class NotBegunError(StoreUnavailableError):
    """A writer whose turn has not come in time. It says nothing about the database that callers may not know."""


class WriterBulkhead:
    """Threads for writers: so many in all, and one for each source.

    The database lets the writers of a source in one after the other, by a lock on the source's row. A thread that they
    waited for there would be missing to the writers of other sources, so they wait for it here, in the order of their
    coming, where waiting takes neither a thread nor a connection.

    :param count: how many may write at once; each has a connection to the database.
    """

    def __init__(self, count: int) -> None:
        self._slots = asyncio.Semaphore(count)
        self._threads = CapacityLimiter(count)
        self._turns: WeakValueDictionary[str | None, asyncio.Lock] = WeakValueDictionary()

    async def run(self, lane: str | None, write: Callable[[], T]) -> T:
        """Write in a thread, when it is its turn.

        :param lane: writers of the same lane write one after the other.
        :raises StoreUnavailableError: its turn has not come in time.
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
    """What those ask who operate the service, in threads of its own.

    :param ping: raises why the store cannot serve.
    """

    def __init__(self, ping: Callable[[], None]) -> None:
        self._ping = ping
        self._threads = CapacityLimiter(2)
        self._pinging: asyncio.Task[None] | None = None

    async def ping(self) -> None:
        """Return if the store can serve. It is asked once for all who want to know at the same time.

        :raises RegistryError: it cannot.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self.run(self._ping))
        # Whoever hangs up must not take the answer away from the others.
        await asyncio.shield(self._pinging)

    async def run(self, call: Callable[[], T]) -> T:
        """Call something in one of these threads."""
        return await run_sync(call, limiter=self._threads)


class BulkheadRoute(APIRoute):
    """A route that takes one of the writers' threads, unless it only reads or knows by itself how to wait."""

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
    """The source that a call names as a parameter, in its body or in its place; else the token, which is a source's."""
    named = (
        arguments.get("source_name"),
        *(getattr(each, "source_name", None) for each in arguments.values()),
    )
    of_token: str | None = arguments["token"].text
    return next((name for name in named if name), of_token)
