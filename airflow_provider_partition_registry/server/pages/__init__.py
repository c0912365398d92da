"""Pages for people: the sources, each source over time, and whether an interval is ready. The pages only read."""

from fastapi import APIRouter

from airflow_provider_partition_registry.server.pages import assets, signing_in, sources

router = APIRouter(include_in_schema=False)
for _each in (sources, signing_in, assets):
    router.include_router(_each.router)
