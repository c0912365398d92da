"""The versioned API, for everything that the store can do."""

from fastapi import APIRouter

from airflow_provider_partition_registry.server.api import (
    following,
    reading,
    registering,
    tokens,
    viewing,
    writing,
)
from airflow_provider_partition_registry.server.api.answers import ERRORS

router = APIRouter(prefix="/api/v1", responses=ERRORS)
for _each in (registering, tokens, writing, reading, following, viewing):
    router.include_router(_each.router)
