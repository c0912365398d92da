"""The whole grains of a source that became ready: page by page, or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import format_sse_event

from airflow_provider_partition_registry.domain.became_ready import ready_after
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.grain_events import GrainFilter
from airflow_provider_partition_registry.domain.models import Event, GrainEvent, GrainPage
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.api.following import follow_while_allowed
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import StrictRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import refusals
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.server.waiting.event_stream import DESCRIPTION, EventStream
from airflow_provider_partition_registry.store.contract import RegistryDatabase
from airflow_provider_partition_registry.store.wire.answers import encode
from airflow_provider_partition_registry.store.wire.fields import (
    GrainText,
    Limit,
    SourceName,
    Timezone,
    to_grain,
)

router = APIRouter(route_class=StrictRoute, prefix="/events/grains", tags=["History"])

GRAINS_AT_ONCE = 1_000
CURSOR = "A position, 0 for the beginning; or the `cursor` of a grain that was told, or `reached` of a page."


@router.get("", response_model=GrainPage, responses=responses_of(GrainPage, examples.GRAINS, 404, 410))
def grain_events(
    service: InService,
    token: Token,
    source_name: SourceName,
    grain: GrainText,
    timezone: Timezone = "UTC",
    after: Annotated[str, Query(description=CURSOR)] = "0",
    limit: Limit = 1000,
) -> Response:
    """List the whole days (hours, ...) of a source that became ready after a place in the history.

    Each is listed once per publication; when it is written again, it is listed again with a greater `version`.
    """
    service.access.require_reader(token)
    page = service.store.grain_events(source_name, to_grain(grain), timezone, after=after, limit=limit)
    return respond(GrainPage, page)


def _start(
    service: InService,
    token: Token,
    source_name: SourceName,
    grain: GrainText,
    timezone: Timezone = "UTC",
    after: Annotated[str | None, Query(description=f"{CURSOR} By default the present end.")] = None,
    last_event_id: Annotated[str | None, Header(description="Sent by a client that connects again.")] = None,
) -> GrainCursor:
    """Where to begin; read before the stream begins, as a refusal cannot be sent afterwards."""
    service.access.require_reader(token)
    given = last_event_id if last_event_id is not None else after
    begin = service.store.last_position() if given is None else given
    service.store.grain_events(source_name, to_grain(grain), timezone, after=begin, limit=1)
    return GrainCursor.of(begin)


@router.get("/stream", response_class=EventStream, responses={**DESCRIPTION, **refusals(404, 410)})
async def grain_stream(
    request: Request,
    service: InService,
    token: Token,
    start: Annotated[GrainCursor, Depends(_start)],
    source_name: SourceName,
    grain: GrainText,
    timezone: Timezone = "UTC",
) -> Response:
    """Follow the grains that become ready as server-sent events, from the present end or after `Last-Event-ID`."""
    events = follow_while_allowed(request, service, token, start.last_whole, source_name)
    return EventStream(_messages(events, service.store, GrainFilter(to_grain(grain), timezone), start))


async def _messages(
    events: AsyncGenerator[list[Event], None],
    store: RegistryDatabase,
    wanted: GrainFilter,
    start: GrainCursor,
) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for found in events:
            for event in found:
                async with aclosing(_told(event, store, wanted, start)) as told:
                    async for grains in told:
                        yield b"".join(map(_message, grains))
            # An id alone is no message; it tells from where to go on if nothing is told for a long time.
            yield format_sse_event(id=str(found[-1].position))


async def _told(
    event: Event, store: RegistryDatabase, wanted: GrainFilter, start: GrainCursor
) -> AsyncGenerator[list[GrainEvent], None]:
    """The grains that an event made ready, several at a time."""
    if ready_after(event):
        told = store.grains_made_ready(event, wanted, start.begins_in(event.position))
        while some := await asyncio.to_thread(list, islice(told, GRAINS_AT_ONCE)):
            yield some


def _message(told: GrainEvent) -> bytes:
    return format_sse_event(id=told.cursor, event="ready", data_str=encode(GrainEvent, told).decode())
