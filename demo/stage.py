"""Watches live: polls the registry's history and both REST APIs, prints what is new and remembers everything."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_partition_registry.domain.models import Event, EventType
from demo.console import GREEN, RED, Console
from demo.facts import Act, Sighting
from demo.sides import READER, TIMEOUT, WRITER, Side
from demo.world import World
from testbed.airflow_api import SECONDS_BETWEEN_LOOKS
from testbed.processes import wait_until

# What a task's state means to somebody who watches; other states are not shown.
MEANINGS = {
    ("load", "running"): "copies the orders as the shop delivers them",
    ("load", "success"): "all orders are loaded",
    ("load", "failed"): "the load broke off, the table is half written",
    ("wait", "deferred"): "waits in the triggerer and takes no worker",
    ("wait", "success"): "all of the day may be read",
    ("wait", "failed"): "gave up",
    ("report", "running"): "reads the table",
    ("report", "success"): "the report is written",
    ("report", "failed"): "could not read the table",
    ("lock", "failed"): "did not get the lock",
    ("unlock", "failed"): "did not publish",
}


@dataclass(frozen=True)
class Run:
    """A run that is watched."""

    side: Side
    dag_id: str
    run_id: str


@dataclass
class Stage:
    """Watches everything that happens to one act's partition and runs."""

    world: World
    console: Console
    act: Act
    events: list[Event] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    _runs: list[Run] = field(default_factory=list)
    _states: dict[tuple[str, str], str] = field(default_factory=dict)
    _position: int = 0

    def side(self, name: str) -> Side:
        return next(side for side in self.world.sides if side.name == name)

    @property
    def writer(self) -> Run:
        return Run(self.side(self.act.writer), WRITER, self.act.run_id)

    @property
    def reader(self) -> Run:
        return Run(self.side(self.act.reader), READER, self.act.run_id)

    def start(self, run: Run) -> None:
        """Trigger a run and watch it."""
        registry = self.world.registry
        conf = {"source": registry.source, "day": self.act.day, "folder": str(self.world.folder)}
        run.side.api.trigger_run(run.dag_id, conf, run_id=run.run_id)
        self.console.event(run.side.name, f"{run.dag_id} is triggered for {self.act.day}")
        self._runs.append(run)

    def count(self, event_type: EventType) -> int:
        """How many events of a type there have been."""
        return sum(event.type is event_type for event in self.events)

    def state(self, run: Run, task_id: str) -> str | None:
        """A task's state when it was last seen."""
        return self._states.get((run.side.name, task_id))

    def until(self, condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
        """Watch until the condition holds."""

        def holds() -> bool:
            self.look()
            return bool(condition())

        children = [child for side in self.world.sides for child in side.components.values()]
        wait_until(holds, what=what, timeout=timeout, children=children, interval=SECONDS_BETWEEN_LOOKS)

    def for_a_while(self, seconds: float) -> None:
        """Watch for that long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            time.sleep(SECONDS_BETWEEN_LOOKS)

    def look(self) -> None:
        """Print and remember what is new."""
        self._look_at_registry()
        for run in self._runs:
            self._look_at_tasks(run)

    def _look_at_registry(self) -> None:
        registry = self.world.registry
        page = registry.store.events(after=self._position, source_name=registry.source)
        for event in page.items:
            self._position = event.position
            if event.interval is not None and f"{event.interval.start:%Y-%m-%d}" == self.act.day:
                self.events.append(event)
                text, style = _told(event, self.act.day)
                self.console.event("registry", text, event.at, style)

    def _look_at_tasks(self, run: Run) -> None:
        asked = datetime.datetime.now(datetime.UTC)
        instances = run.side.api.task_instances(run.dag_id, run.run_id)
        answered = datetime.datetime.now(datetime.UTC)
        for instance in instances:
            task_id, state = instance["task_id"], instance["state"] or "none"
            self.sightings.append(Sighting(run.side.name, run.run_id, task_id, state, asked, answered))
            if self._states.get((run.side.name, task_id)) != state:
                self._states[run.side.name, task_id] = state
                self._tell(run, task_id, state)

    def _tell(self, run: Run, task_id: str, state: str) -> None:
        if meaning := MEANINGS.get((task_id, state)):
            text = f"{run.dag_id}.{task_id} is {_adjective(state)}: {meaning}"
            self.console.event(run.side.name, text, style=RED if state == "failed" else None)


def _adjective(state: str) -> str:
    return "done" if state == "success" else state


def _told(event: Event, day: str) -> tuple[str, str | None]:
    """An event in words, and the style to show it in."""
    match event.type:
        case EventType.LOCK:
            return f"{day} LOCKED by {event.holder}", None
        case EventType.UNLOCK:
            return f"{day} READY, published under lock number {event.generation}", GREEN
        case EventType.FAIL:
            return f"{day} FAILED. {event.details.get('reason', '')}", RED
        case _:
            return f"{day} {event.type.value.lower().replace('_', ' ')}", None
