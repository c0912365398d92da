"""The files that pages load."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response

from airflow_provider_partition_registry.pages.files import FILES, FOR_EVER

router = APIRouter()


@router.get("/pages/{name}")
async def asset(name: str) -> Response:
    """Send a file. Its address changes with its content, so browsers may cache it for ever."""
    if name not in FILES:
        raise HTTPException(404, "there is no such file")
    return Response(
        FILES[name].content, media_type=FILES[name].media_type, headers={"Cache-Control": FOR_EVER}
    )
