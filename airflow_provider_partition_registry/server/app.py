"""The application: its routes, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.server import api, errors, pages
from airflow_provider_partition_registry.server.access.ambiguous_paths import PlainAddresses
from airflow_provider_partition_registry.server.access.csrf import OwnSite
from airflow_provider_partition_registry.server.access.masking import Mask
from airflow_provider_partition_registry.server.api import reading
from airflow_provider_partition_registry.server.api.responses import respond
from airflow_provider_partition_registry.server.fast_route import ExpressRoute
from airflow_provider_partition_registry.server.middleware import Envelope
from airflow_provider_partition_registry.server.observing import health
from airflow_provider_partition_registry.server.openapi import refusals
from airflow_provider_partition_registry.server.original import routes as original_routes
from airflow_provider_partition_registry.server.original.answers import ReadinessAnswer
from airflow_provider_partition_registry.server.processes.stopping import called_at_the_end
from airflow_provider_partition_registry.server.service import Service
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract import RegistryDatabase

DESCRIPTION = """\
A registry of data readiness. A writer **locks** a partition `[start, end)` of a source while it (re)writes it and
**unlocks** it when the data is good; a reader asks **is `[a, b)` ready?** and gets yes, or exactly why not.

Instants are ISO 8601, UTC unless they say otherwise.

## Access tokens

The response to registering a source contains its token, which no later response does. With it providers are
registered; each of those responses contains the provider's own token, which no later one does, and with which the
provider locks and publishes. Send a token as `Authorization: Bearer prs_...`. An address that sends too many wrong ones
is rate limited (429) for a while, except for valid tokens of sources and providers.

## Errors

Every error under `/api/` has the body `{"error": {"code", "message", "details"}}`; the codes are stable. The routes
without `/api/` are those of the original partition-registry service, whose errors have the body
`{"status_code", "detail"}`.

## When a response is lost

After a time-out, a broken connection or a 503 it is unknown whether the call took effect. Most calls are
idempotent, so repeat them:

- **lock**: the same holder is granted its lock again (R3), with a new generation. Nobody knows of the first one.
- **renew**: the lease runs from the repeated call on.
- **unlock**, **fail**: a finished call gets the same response again and changes nothing (R4); give the
  generation, so that only the lock that you held is meant.
- **registering**, and what people decide by hand (R6): the second call is refused with 409, or gets the same response.
  Either way it has taken effect, so look it up. `lock` registers a partition by itself (`register`).
- a **token** in a response that was lost cannot be sent again, as only its hash is kept. An administrator rotates it.

There is no `Idempotency-Key`: to repeat the response to a registration the service would have to keep tokens in clear
(R10), and no other call needs one.
"""


def create_app(settings: ServiceSettings | None = None, store: RegistryDatabase | None = None) -> FastAPI:
    """Make the application of one worker process.

    :param settings: by default those of the environment.
    :param store: used in place of the one that the settings name.
    :raises InvalidInputError: the settings are not valid.
    """
    service = Service(settings or ServiceSettings.of_environment(), store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(service.feed.run())
        service.pruner.start()
        try:
            with called_at_the_end(service.long_polls.end):
                yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            service.close()

    app = FastAPIOffline(
        title="Partition Registry", version=__version__, description=DESCRIPTION, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(PlainAddresses)
    app.add_middleware(OwnSite, settings=service.settings)
    app.add_middleware(Envelope, mask=Mask(service.settings.administrator_token))
    errors.install(app)
    app.router.routes[:0] = _express_routes(service)
    for router in (api.router, original_routes.router, health.router, pages.router):
        # Not by include_router(), for which FastAPI would make every route anew, a quarter of a second of work.
        app.router.routes += router.routes
    _complete_description(app)
    return app


def _express_routes(service: Service) -> list[ExpressRoute]:
    interval = {"start", "end"}
    return [
        ExpressRoute(
            service, "/api/v1/readiness", frozenset({"source_name", *interval}), reading.response_of
        ),
        ExpressRoute(
            service,
            original_routes.READINESS_PATH,
            frozenset(interval),
            lambda found: respond(ReadinessAnswer, original_routes.to_response(found)),
        ),
    ]


def _complete_description(app: FastAPI) -> None:
    described_by_framework = app.openapi

    def openapi() -> dict[str, Any]:
        description = described_by_framework()
        description["components"]["schemas"] |= refusals.schemas()
        return description

    app.openapi = openapi  # type: ignore[method-assign]
