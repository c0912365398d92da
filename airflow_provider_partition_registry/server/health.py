"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from fastapi import APIRouter

from airflow_provider_partition_registry.server.service import InService

router = APIRouter(tags=["Health"])


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """Whether the process answers, whatever its database does."""
    return {"status": "alive"}


@router.get("/readyz")
def can_serve(service: InService) -> dict[str, str]:
    """Whether the database answers and its schema fits."""
    service.store.last_position()
    return {"status": "ready"}
