"""What happened, as plain values: collected while the story plays, judged and printed afterwards."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from airflow_provider_partition_registry.domain.models import Event


@dataclass(frozen=True)
class Act:
    """One hand-over: what is to happen.

    :param writer: the name of the side that writes
    :param reader: the name of the side that reads
    :param writer_key: the writer's name in the registry
    :param day: the partition, as ISO 8601
    :param fails: whether the first attempt to write fails
    :param rows: how many orders the complete day has
    :param cents: what they cost together
    """

    number: int
    writer: str
    reader: str
    writer_key: str
    day: str
    fails: bool
    rows: int
    cents: int

    @property
    def run_id(self) -> str:
        """The id of the runs on both sides."""
        return f"act-{self.number}"


@dataclass(frozen=True)
class Sighting:
    """A task's state as an Airflow reported it, at some moment between ``asked`` and ``answered``."""

    side: str
    run_id: str
    task_id: str
    state: str
    asked: datetime.datetime
    answered: datetime.datetime


@dataclass(frozen=True)
class Try:
    """One try of a task as a metadata database recorded it."""

    side: str
    run_id: str
    task_id: str
    number: int
    state: str
    start: datetime.datetime | None
    end: datetime.datetime | None


@dataclass(frozen=True)
class Report:
    """What the reader found in the data."""

    rows: int
    cents: int


@dataclass(frozen=True)
class ActFacts:
    """One hand-over: what did happen.

    :param events: the registry's history of the day
    :param tries: all tries of all tasks, from both metadata databases
    :param sightings: the tasks' states while it happened
    :param explanation: why the reader waited after the failure, from its own log
    """

    act: Act
    events: tuple[Event, ...]
    tries: tuple[Try, ...]
    sightings: tuple[Sighting, ...]
    explanation: str
    report: Report | None


@dataclass(frozen=True)
class Summary:
    """What a run without a sensor found.

    :param day: the run's partition key
    :param state: of the run
    """

    day: str
    state: str
    report: Report | None


@dataclass(frozen=True)
class Facts:
    """All facts.

    :param clock_is_ahead: by how many seconds the registry's clock is ahead of ours
    :param summaries: of all runs without a sensor; None if there is no Airflow that can have them
    """

    clock_is_ahead: float
    acts: tuple[ActFacts, ...]
    summaries: tuple[Summary, ...] | None = None
