"""The timeline: who did what when, with the registry in the middle and one Airflow on either side."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_partition_registry.domain.models import Event, EventType
from demo.console import clock
from demo.facts import ActFacts, Facts, Try

WIDTH_OF_TIME = 11
WIDTH_OF_LANE = 30
REGISTRY = "registry"

# These tasks take only a moment, which the registry's own line shows better than a start and an end.
SHORT_TASKS = {"lock", "unlock"}


class Entry(NamedTuple):
    """One line: something that one of the three did."""

    at: datetime.datetime
    lane: str
    text: str


def timeline(facts: Facts) -> Iterator[str]:
    """The lines of the table."""
    lanes = _lanes(facts)
    yield _row("UTC", dict(zip(lanes, lanes, strict=True)), lanes)
    for act in facts.acts:
        yield _row(f"-- act {act.act.number} --", dict.fromkeys(lanes, "-" * (WIDTH_OF_LANE - 2)), lanes)
        for entry in sorted(entries(act)):
            yield _row(clock(entry.at), {entry.lane: entry.text}, lanes)


def entries(facts: ActFacts) -> Iterator[Entry]:
    """Everything that one act's registry and metadata databases recorded."""
    for event in facts.events:
        if event.type is not EventType.PARTITION_REGISTERED:
            yield Entry(event.at, REGISTRY, _event_told(event))
    for one in facts.tries:
        yield from _of_try(one)
    deferred = next(
        (each for each in facts.sightings if (each.task_id, each.state) == ("wait", "deferred")), None
    )
    if deferred:
        yield Entry(deferred.answered, deferred.side, "wait is seen deferred")


def _of_try(one: Try) -> Iterator[Entry]:
    again = f" (try {one.number})" if one.number > 1 else ""
    if one.start and one.task_id not in SHORT_TASKS:
        yield Entry(one.start, one.side, f"{one.task_id} starts{again}")
    if one.end:
        yield Entry(one.end, one.side, f"{one.task_id} ends: {one.state}{again}")


def _event_told(event: Event) -> str:
    number = f" {event.generation}" if event.generation is not None else ""
    return f"{event.type.value}{number}"


def _lanes(facts: Facts) -> tuple[str, str, str]:
    first = facts.acts[0].act
    return first.writer, REGISTRY, first.reader


def _row(time: str, texts: dict[str, str], lanes: tuple[str, ...]) -> str:
    cells = (texts.get(lane, "").ljust(WIDTH_OF_LANE) for lane in lanes)
    return f"{time.ljust(WIDTH_OF_TIME)}  {''.join(cells)}".rstrip()
