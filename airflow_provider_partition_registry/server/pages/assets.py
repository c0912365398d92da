"""The files that pages load: one style sheet, one script, one icon. They are part of the package."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter, HTTPException, Response

from airflow_provider_partition_registry.server.pages.rendering import ENVIRONMENT

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ASSETS = {path.name: path.read_bytes() for path in (Path(__file__).parent / "assets").iterdir()}
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}

router = APIRouter()


@router.get("/pages/{name}")
async def asset(name: str) -> Response:
    """Send a file. Its address changes with its content, so browsers may cache it for ever."""
    if name not in _ASSETS:
        raise HTTPException(404, "there is no such file")
    return Response(_ASSETS[name], media_type=_KINDS[Path(name).suffix], headers=_FOR_EVER)


def _address(name: str) -> str:
    return f"pages/{name}?{hashlib.sha256(_ASSETS[name]).hexdigest()[:12]}"


ENVIRONMENT.globals["asset"] = _address
