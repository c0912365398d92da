"""The versioned API, which offers everything that the store can do."""

from fastapi import APIRouter

from airflow_provider_partition_registry.server.api import (
    following,
    grains,
    reading,
    registering,
    tokens,
    viewing,
    writing,
    writing_many,
)
from airflow_provider_partition_registry.server.openapi.refusals import ANYWHERE, refusals

router = APIRouter(
    prefix="/api/v1", responses=refusals(*ANYWHERE), generate_unique_id_function=lambda route: route.name
)
for _each in (registering, tokens, writing, writing_many, reading, grains, following, viewing):
    router.include_router(_each.router)
