"""What pages show: the list of sources, each source over time, and whether an interval is ready. They only read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidNameError
from airflow_provider_partition_registry.domain.explanation import reasons
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import BLOCKING_STATES, Page, Partition
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.domain.viewing import SourceOverview
from airflow_provider_partition_registry.pages import wording
from airflow_provider_partition_registry.pages.rendering import View
from airflow_provider_partition_registry.store.contract import RegistryReader

SOURCES = 50
EVENTS = 25
BLOCKERS = 50
REASONS = 50
MOST_PROBLEMS = 1_000
"""An answer with more gaps or blockers than this is not explained, as nobody would read it."""


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


def list_sources(reader: RegistryReader, prefix: str = "", after: str | None = None) -> View:
    """All sources at a glance."""
    prefix, problem = prefix.strip(), None
    try:
        page = reader.list_overviews(prefix or None, after, SOURCES)
    except InvalidNameError as error:
        page, problem = Page(()), error.message
    return View(
        "sources",
        {"page": page, "prefix": prefix, "after": after, "problem": problem, "now": wording.now()},
    )


def show_source(
    reader: RegistryReader, name: str, start: str = "", end: str = "", before: int | None = None
) -> View:
    """One source: its state, its timeline, its history, and whether an interval of it is ready.

    :raises UnknownSourceError: no such source.
    """
    overview = reader.get_overview(name)
    asked = _ask(reader, name, start.strip(), end.strip()) if start or end else _suggestion(overview)
    return View(
        "source",
        {
            "source": overview.source,
            "overview": overview,
            "blockers": _blockers(reader, overview),
            "asked": asked,
            "history": reader.latest_events(name, before, EVENTS),
            "before": before,
            "now": wording.now(),
        },
    )


def tell_problem(message: str, *, is_ours: bool) -> View:
    """What went wrong.

    :param is_ours: whether it is the registry's own failure, and not a mistake in the question.
    """
    return View("problem", {"message": message, "is_ours": is_ours})


def _blockers(reader: RegistryReader, overview: SourceOverview) -> tuple[Partition, ...] | None:
    """What is locked, expired or failed; None if there is too much to list."""
    if not overview.blockages or overview.extent is None:
        return ()
    seen = reader.timeline(overview.source.name, overview.extent, BLOCKERS)
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


def _ask(reader: RegistryReader, source_name: str, start: str, end: str) -> Asked:
    try:
        interval = Interval(start, end)
    except InvalidInputError as error:
        return Asked(start, end, problem=error.message)
    shown = wording.for_input(interval.start), wording.for_input(interval.end)
    seen = reader.timeline(source_name, interval, MOST_PROBLEMS)
    if not seen.lists_blockers or not all(each.is_whole for each in seen.ready):
        return Asked(
            *shown,
            problem="It is not ready, for more reasons than fit on a page. Ask for a shorter interval.",
        )
    readiness = reader.check_readiness(source_name, interval)
    return Asked(*shown, readiness, tuple(reasons(readiness, REASONS)))
