"""The list of sources, and the page of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter, Request, Response

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidNameError
from airflow_provider_partition_registry.domain.explanation import reasons
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import BLOCKING_STATES, Page, Partition
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.domain.viewing import SourceOverview
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.pages import wording
from airflow_provider_partition_registry.server.pages.rendering import PageRoute, render
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.store.contract import RegistryStore

SOURCES = 50
EVENTS = 25
BLOCKERS = 50
REASONS = 50
MOST_PROBLEMS = 1_000
"""An answer with more gaps or blockers than this is not explained, as nobody would read it."""

router = APIRouter(route_class=PageRoute)


@dataclass(frozen=True)
class Asked:
    """A question on a source's page, and its answer.

    :param readiness: the answer; None if there is none, or it is too long.
    """

    start: str
    end: str
    readiness: Readiness | None = None
    reasons: tuple[str, ...] = ()
    problem: str | None = None


@router.get("/")
def list_sources(
    request: Request, service: InService, token: Token, prefix: str = "", after: str | None = None
) -> Response:
    """Show all sources at a glance."""
    service.access.require_reader(token)
    prefix, problem = prefix.strip(), None
    try:
        page = service.store.list_overviews(prefix or None, after, SOURCES)
    except InvalidNameError as error:
        page, problem = Page(()), error.message
    return render(
        request, "sources", page=page, prefix=prefix, after=after, problem=problem, now=wording.now()
    )


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
    store = service.store
    overview = store.get_overview(name)
    asked = _ask(store, name, start.strip(), end.strip()) if start or end else _suggestion(overview)
    return render(
        request,
        "source",
        source=overview.source,
        overview=overview,
        blockers=_blockers(store, overview),
        asked=asked,
        history=store.latest_events(name, before, EVENTS),
        before=before,
        now=wording.now(),
    )


def _blockers(store: RegistryStore, overview: SourceOverview) -> tuple[Partition, ...] | None:
    """What is locked, expired or failed; None if there is too much to list."""
    if not overview.blockages or overview.extent is None:
        return ()
    seen = store.timeline(overview.source.name, overview.extent, BLOCKERS)
    if not seen.lists_blockers:
        return None
    return tuple(each for each in seen.partitions if each.state in BLOCKING_STATES)


def _suggestion(overview: SourceOverview) -> Asked:
    """A question to begin with: the last day that is ready."""
    ready = overview.last_ready
    if ready is None:
        return Asked("", "")
    is_long = ready.end - ready.start > timedelta(days=1)
    start = ready.end - timedelta(days=1) if is_long else ready.start
    return Asked(wording.for_input(start), wording.for_input(ready.end))


def _ask(store: RegistryStore, source_name: str, start: str, end: str) -> Asked:
    try:
        interval = Interval(start, end)
    except InvalidInputError as error:
        return Asked(start, end, problem=error.message)
    shown = wording.for_input(interval.start), wording.for_input(interval.end)
    seen = store.timeline(source_name, interval, MOST_PROBLEMS)
    if not seen.lists_blockers or not all(each.is_whole for each in seen.ready):
        return Asked(
            *shown,
            problem="It is not ready, for more reasons than fit on a page. Ask for a shorter interval.",
        )
    readiness = store.check_readiness(source_name, interval)
    return Asked(*shown, readiness, tuple(reasons(readiness, REASONS)))
