"""The history: page by page, by long polling, or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import format_sse_event

from airflow_provider_partition_registry.domain.errors import (
    InvalidTokenError,
    RegistryError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.models import Event, EventType, HistoryPage, Page
from airflow_provider_partition_registry.server.access.permissions import PresentedToken, Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.api.reading import WaitSeconds
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import StrictRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import refusals
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.server.waiting.event_stream import DESCRIPTION, EventStream
from airflow_provider_partition_registry.server.waiting.hints import Heard, Hints
from airflow_provider_partition_registry.server.waiting.long_polling import while_present
from airflow_provider_partition_registry.store.wire.answers import (
    HEARD_HEADER,
    FollowedPage,
    Position,
    encode,
)
from airflow_provider_partition_registry.store.wire.fields import Limit, SourceName

router = APIRouter(route_class=StrictRoute, prefix="/events", tags=["History"])

RECHECKED_EVERY = 10.0  # seconds for which a reader may read on whose token has expired
ENDING_TOKENS = frozenset({EventType.TOKEN_ROTATED, EventType.TOKEN_REVOKED})


@router.get(
    "", response_model=FollowedPage, responses=responses_of(Page[Event], Page((examples.EVENT,)), 404, 410)
)
async def events(
    request: Request,
    service: InService,
    token: Token,
    after: Annotated[int, Query(description="A position; 0 for the beginning.")] = 0,
    source_name: SourceName | None = None,
    limit: Limit = 1000,
    wait_seconds: WaitSeconds = 0,
    heard: Annotated[
        str | None,
        Header(
            alias=HEARD_HEADER,
            description="`heard` of the answer before, or `nothing`: what changed since is named although it cannot be "
            "listed yet, also if that was between two requests.",
        ),
    ] = None,
) -> Response:
    """List what happened after a position (R9). If nothing has, the request waits for the next event (long polling).

    It is answered with an empty list before its time is over if something was published, or taken back, that cannot be
    listed yet, as a slow writer of another source has to commit first. Then `changed_sources` names the sources; it is
    null if they are too many, or not known.
    """
    hints = service.feed.hints
    client = None if heard is None else Heard.from_text(heard)
    heard_up_to = hints.heard_by(client)

    def read() -> Page[Event]:
        service.access.require_reader(token)
        return service.store.events(after, source_name, limit)

    page = await asyncio.to_thread(read)
    if not page.items and wait_seconds:
        async with (
            service.long_polls.limit(request, "events", wait_seconds),
            while_present(request),
            aclosing(service.feed.follow(after, source_name, heard_up_to)) as feed,
        ):
            async for found in feed:
                if not found:
                    return respond(FollowedPage, _hidden(hints, heard_up_to, client))
                return respond(Page[Event], _first(found, limit))
    return respond(Page[Event], page)


@router.get(
    "/latest", response_model=HistoryPage, responses=responses_of(Page[Event], Page((examples.EVENT,)), 404)
)
def latest_events(
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName,
    before: Annotated[int | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 100,
) -> Response:
    """List the history of a source, the newest first.

    `pruned_before` is set where older events were removed: of what happened before that instant only the events are
    left that tell what is the case now.
    """
    service.access.require_reader(token)
    page = reader.latest_events(source_name, before, limit)
    # Most are whole, and written as they always were.
    return respond(Page[Event] if page.pruned_before is None else HistoryPage, page)


@router.get("/last", response_model=Position, responses=responses_of(Position, Position(4)))
def last_position(service: InService, token: Token) -> Response:
    """Where the history ends now."""
    service.access.require_reader(token)
    return respond(Position, Position(service.store.last_position()))


def _start(
    service: InService,
    token: Token,
    after: Annotated[int | None, Query(description="A position; by default the present end.", ge=0)] = None,
    source_name: SourceName | None = None,
    last_event_id: Annotated[
        int | None, Header(description="Sent by a client that connects again.", ge=0)
    ] = None,
) -> int:
    """Where to begin; read before the stream begins, as a refusal cannot be sent afterwards."""
    service.access.require_reader(token)
    given = last_event_id if last_event_id is not None else after
    if given is None:
        if source_name is not None:
            service.store.get_source(source_name)
        return service.store.last_position()
    service.store.events(given, source_name, limit=1)
    return given


@router.get("/stream", response_class=EventStream, responses={**DESCRIPTION, **refusals(404, 410)})
async def stream(
    request: Request,
    service: InService,
    token: Token,
    start: Annotated[int, Depends(_start)],
    source_name: SourceName | None = None,
) -> Response:
    """Follow the history as server-sent events, from its present end or after ``Last-Event-ID``."""
    return EventStream(_messages(request, service, token, start, source_name))


async def _messages(
    request: Request, service: Service, token: PresentedToken, start: int, source_name: str | None
) -> AsyncGenerator[bytes, None]:
    async with aclosing(follow_while_allowed(request, service, token, start, source_name)) as feed:
        async for found in feed:
            yield b"".join(map(_message, found))


async def follow_while_allowed(
    request: Request, service: Service, token: PresentedToken, start: int, source_name: str | None
) -> AsyncGenerator[list[Event], None]:
    """The events after a position as they come, several at a time, for as long as the reader's token is valid."""
    with suppress(InvalidTokenError):
        async with (
            service.long_polls.limit(request, "stream", None) as limit,
            _while_valid(service, token, limit),
            aclosing(service.feed.follow(start, source_name)) as feed,
        ):
            async for found in feed:
                if not ENDING_TOKENS.isdisjoint(each.type for each in found):
                    await asyncio.to_thread(service.access.require_reader_still, token)
                yield found


def _message(event: Event) -> bytes:
    return format_sse_event(
        id=str(event.position), event=event.type.value, data_str=encode(Event, event).decode()
    )


@asynccontextmanager
async def _while_valid(
    service: Service, token: PresentedToken, limit: asyncio.Timeout
) -> AsyncIterator[None]:
    """Let the limit expire when the token does, or soon after it was revoked; the stream must end then."""
    if not service.settings.has_private_reads:
        yield
        return
    checking = asyncio.create_task(_end_when_invalid(service, token, limit))
    try:
        yield
    finally:
        checking.cancel()


async def _end_when_invalid(service: Service, token: PresentedToken, limit: asyncio.Timeout) -> None:
    with suppress(RegistryError):
        while True:
            await asyncio.sleep(RECHECKED_EVERY)
            with suppress(StoreUnavailableError):  # the stream has nothing new to send then either
                await asyncio.to_thread(service.access.require_reader_still, token)
    limit.reschedule(asyncio.get_running_loop().time())


def _hidden(hints: Hints, heard_up_to: int, client: Heard | None) -> FollowedPage:
    """What a client has not heard yet."""
    names = sorted(hints.since(heard_up_to) or ())
    return FollowedPage((), None, tuple(names) or None, str(hints.now_heard_by(client)))


def _first(events: list[Event], limit: int) -> Page[Event]:
    shown = tuple(events[:limit])
    return Page(shown, shown[-1].position if len(events) > limit else None)
