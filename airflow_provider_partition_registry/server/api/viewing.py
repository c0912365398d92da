"""Routes behind the pages: sources at a glance and over time. No answer grows with a source's history."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Page
from airflow_provider_partition_registry.domain.viewing import FINEST_RESOLUTION, SourceOverview, Timeline
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import StrictRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.store.wire.fields import End, Limit, SourceName, Start

router = APIRouter(route_class=StrictRoute, tags=["Overviews"])


@router.get(
    "/overview", response_model=SourceOverview, responses=responses_of(SourceOverview, examples.OVERVIEW, 404)
)
def get_overview(source_name: SourceName, service: InService, reader: Reader, token: Token) -> Response:
    """Show one source at a glance: up to when it is ready, and what is locked, expired or failed now."""
    service.access.require_reader(token)
    return respond(SourceOverview, reader.get_overview(source_name))


@router.get(
    "/overviews",
    response_model=Page[SourceOverview],
    responses=responses_of(Page[SourceOverview], Page((examples.OVERVIEW,))),
)
def list_overviews(
    service: InService,
    reader: Reader,
    token: Token,
    prefix: Annotated[str | None, Query(description="How the names begin.")] = None,
    after: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 100,
) -> Response:
    """List sources at a glance, in the order of their names."""
    service.access.require_reader(token)
    return respond(Page[SourceOverview], reader.list_overviews(prefix, after, limit))


@router.get("/timeline", response_model=Timeline, responses=responses_of(Timeline, examples.TIMELINE, 404))
def timeline(
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName,
    start: Start,
    end: End,
    resolution: Annotated[
        int,
        Query(
            description="The most partitions, and the most ready intervals, that are listed. Where there are more, "
            f"the interval is cut into this many slots. 1 to {FINEST_RESOLUTION}."
        ),
    ] = 400,
) -> Response:
    """Show a source over time, in no more detail than asked for."""
    service.access.require_reader(token)
    drawn = reader.timeline(source_name, Interval(start, end), resolution)
    return respond(Timeline, drawn)
