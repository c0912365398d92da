"""Routes for operators: whether the process lives, whether it can serve, and its metrics."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.server.observing import metrics
from airflow_provider_partition_registry.server.redaction import redacted
from airflow_provider_partition_registry.server.service import InService

router = APIRouter(tags=["Health"])


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Say that the process responds, whatever its database does."""
    return {"status": "alive"}


@router.get("/readyz", responses={503: {"description": "Not ready; `reason` says why"}})
async def can_serve(service: InService) -> JSONResponse:
    """Say whether the database answers and its schema fits."""
    try:
        await service.health.ping()
    except RegistryError as error:
        told = redacted(error)
        return JSONResponse({"status": "not ready", "code": told.code, "reason": told.message}, 503)
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response)
async def read_metrics(service: InService) -> Response:
    """Metrics for Prometheus. They name no source, provider or partition."""
    locks = await service.lock_counter.latest()
    text = await service.health.run(partial(metrics.exposition, locks))
    return Response(text, media_type=CONTENT_TYPE_LATEST)
