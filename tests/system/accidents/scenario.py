"""What an accident is: a DAG, the steps that lead to it, and what must come of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from airflow_provider_partition_registry.domain.models import EventType, PartitionState
from tests.system.accidents.steps import Step

PACKAGE = "airflow_provider_partition_registry"
VERSIONS = (2, 3)
PARTS = ("plain", "teardown")
"""The forms that are made of the operators."""
FORMS = (*PARTS, "group") if importlib.util.find_spec(f"{PACKAGE}.task_groups") else PARTS

SINGLE = (("w1",),)
"""The data of work that is one task."""

WRITTEN_ONCE = (EventType.PARTITION_REGISTERED, EventType.LOCK, EventType.UNLOCK)
WRITTEN_TWICE = (*WRITTEN_ONCE, EventType.LOCK, EventType.UNLOCK)


@dataclass(frozen=True)
class Outcome:
    """What must have come of an accident when its run is over.

    :param state: of the partition; several if each of them is right
    :param reason: words that the partition's reason must hold
    :param unlock: the states in which the unlock task may be; empty: any
    :param not_begun: tasks that must not have begun to write
    :param history: the types of all events of the partition, if it matters in which way it came about
    """

    state: PartitionState | tuple[PartitionState, ...]
    reason: tuple[str, ...] = ()
    unlock: tuple[str | None, ...] = ()
    not_begun: tuple[str, ...] = ()
    history: tuple[EventType, ...] | None = None

    @property
    def states(self) -> tuple[PartitionState, ...]:
        return self.state if isinstance(self.state, tuple) else (self.state,)


def fails(*words: str, **more: Any) -> Outcome:
    """The partition must have become failed, with these words in its reason."""
    return Outcome(PartitionState.FAILED, words, **more)


@dataclass(frozen=True)
class Accident:
    """A line of the specification by example.

    :param name: what people would call it
    :param dag: which work is done; the form completes the DAG's id
    :param steps: taken one after the other once the run is triggered
    :param outcome: what must come of it, for each day that the run writes
    :param plain: what must come of it in the plain form, if that is something else
    :param data: the tasks whose good end makes a day's data complete, for each day
    :param forms: in which it is played, of those that there are
    :param versions: of Airflow on which it can happen
    :param conf: parameters of the run
    :param time: the run's date, counted from the beginning of the day that it writes; by default Airflow chooses one
    :param before: steps taken before the run is triggered
    :param quick: in which of its forms it belongs to the subset that is always played
    """

    name: str
    dag: str
    steps: tuple[Step, ...]
    outcome: Outcome | tuple[Outcome, ...]
    plain: Outcome | None = None
    data: tuple[tuple[str, ...], ...] = (("w1", "w2"),)
    forms: tuple[str, ...] = ("plain", "teardown", "group")
    versions: tuple[int, ...] = VERSIONS
    conf: dict[str, Any] = field(default_factory=dict, hash=False)
    time: timedelta | None = None
    before: tuple[Step, ...] = ()
    quick: tuple[str, ...] = ()

    def outcomes(self, form: str) -> tuple[Outcome, ...]:
        """One for each day."""
        outcome = self.plain if form == "plain" and self.plain else self.outcome
        return outcome if isinstance(outcome, tuple) else (outcome,) * len(self.data)

    def dag_id(self, form: str) -> str:
        return f"accident_{self.dag}_{form}"


@dataclass(frozen=True)
class Play:
    """An accident in one form on one version."""

    accident: Accident
    form: str
    version: int

    def __str__(self) -> str:
        return f"{self.accident.name}, {self.form}, {self.version}"


def plays_of(accidents: tuple[Accident, ...], *, only_quick: bool) -> list[Play]:
    return [
        Play(accident, form, version)
        for accident in accidents
        for form in FORMS
        if form in (accident.quick if only_quick else accident.forms)
        for version in accident.versions
    ]
