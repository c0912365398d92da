"""The list of sources, and the page of each."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from airflow_provider_partition_registry.pages import views
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.pages.rendering import PageRoute, respond
from airflow_provider_partition_registry.server.service import InService

router = APIRouter(route_class=PageRoute)


@router.get("/")
def list_sources(
    request: Request, service: InService, token: Token, prefix: str = "", after: str | None = None
) -> Response:
    """Show all sources at a glance."""
    service.access.require_reader(token)
    return respond(request, views.list_sources(service.store, prefix, after))


@router.get("/source")
def show_source(
    request: Request,
    service: InService,
    token: Token,
    name: str,
    start: str = "",
    end: str = "",
    before: int | None = None,
) -> Response:
    """Show one source: its state, its timeline, its history, and whether an interval of it is ready."""
    service.access.require_reader(token)
    return respond(request, views.show_source(service.store, name, start, end, before))
