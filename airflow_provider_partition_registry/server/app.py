"""The application: its routes, what they share, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.server import api, errors, health, original, pages
from airflow_provider_partition_registry.server.middleware import Envelope
from airflow_provider_partition_registry.server.service import Service
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.base import RegistryStore

DESCRIPTION = """\
A registry of data readiness. A writer **locks** a partition `[start, end)` of a source while it (re)writes it and
**unlocks** it when the data is good; a reader asks **is `[a, b)` ready?** and gets yes, or exactly why not.

Instants are ISO 8601, UTC unless they say otherwise. Whatever goes wrong under `/api/` is answered with
`{"error": {"code", "message", "details"}}`; the codes are stable. The routes without `/api/` are those of the original
partition-registry service."""


def create_app(settings: ServiceSettings | None = None, store: RegistryStore | None = None) -> FastAPI:
    """Make the application of one worker process.

    :param settings: by default what the environment says.
    :param store: in place of the one that the settings name.
    :raises InvalidInputError: the settings make no sense.
    """
    service = Service(settings or ServiceSettings.of_environment(), store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        reading = asyncio.create_task(service.feed.run())
        try:
            with _called_at_the_end(service.patience.end):
                yield
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            service.store.close()

    app = FastAPIOffline(
        title="Partition Registry", version=__version__, description=DESCRIPTION, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(Envelope)
    errors.install(app)
    app.include_router(api.router)
    app.include_router(original.router)
    app.include_router(health.router)
    app.include_router(pages.router)
    return app


@contextmanager
def _called_at_the_end(call: Callable[[], None]) -> Iterator[None]:
    """Have it called when the process is told to stop: the server waits for running requests before it says so."""
    if threading.current_thread() is not threading.main_thread():  # where no signals arrive
        yield
        return
    loop = asyncio.get_running_loop()
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(call)
        handler = former[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in former:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
