"""One run of a DAG to which an accident happens, and what a test can do to it and learn about it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_partition_registry.domain.errors import UnknownPartitionError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    Holder,
    Partition,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.airflow_api import SECONDS_BETWEEN_LOOKS
from testbed.http_json import ApiError
from testbed.processes import Child, new_temporary_folder, wait_until
from testbed.proxy import LosingProxy
from tests.system.accidents.journal import Journal
from tests.system.accidents.watcher import Watch
from tests.system.dags.accident_journal import LET_GO

SOURCE = "system.accidents"
WRITER = "accident-writer"
OTHER_HOLDER = Holder("somebody-else")

# A task of an instance that shares two cores with everything else may take long to start.
TIMEOUT = 180.0

# How long what Airflow and we do in the background may take after a run has ended.
SECONDS_TO_SETTLE = 120.0

_silences: dict[AirflowInstance, threading.Lock] = defaultdict(threading.Lock)

_first_day = datetime(2001, 1, 1, tzinfo=UTC)
_day_numbers = itertools.count()


def unused_day() -> Interval:
    """A day of the source that nothing else touches."""
    start = _first_day + timedelta(days=next(_day_numbers))
    return Interval(start, start + timedelta(days=1))


class Performance:
    """One run, with a folder for its journal and days of its own in the source.

    :param network: what the instance's connection ``frail`` goes through
    :param dag_id: the DAG, which must be known to the instance
    :param work: the tasks whose good end makes the data of a day complete, one set for each day
    :param conf: further parameters of the run
    """

    def __init__(
        self,
        instance: AirflowInstance,
        registry: RegistryStore,
        network: LosingProxy,
        dag_id: str,
        work: Collection[Collection[str]],
        conf: dict[str, Any],
    ) -> None:
        self.instance = instance
        self.registry = registry
        self._network = network
        self._is_silent = False
        self.dag_id = dag_id
        self.journal = Journal(new_temporary_folder("accident"))
        self.days = [unused_day() for _ in work]
        all_work = {name for tasks in work for name in tasks}
        self.watches = [
            Watch(SOURCE, day, self.journal, tasks, all_work - set(tasks))
            for day, tasks in zip(self.days, work, strict=True)
        ]
        self.run_id = ""
        days = [f"{day.start:%Y-%m-%d}" for day in self.days]
        self.conf = {"day": days[0], "days": days, "folder": str(self.journal.folder)} | conf
        self._programs: list[Child] = []
        self._beginning = registry.last_position()

    @property
    def day(self) -> Interval:
        return self.days[0]

    @property
    def is_there(self) -> bool:
        """Whether Airflow knows the run: it has been triggered, and nobody has deleted it."""
        return bool(self.run_id) and self.instance.api.has_run(self.dag_id, self.run_id)

    @property
    def is_over(self) -> bool:
        """Whether Airflow says that the run has ended."""
        return self.instance.api.run_state(self.dag_id, self.run_id) in ("success", "failed")

    def start(self, time: timedelta | None = None) -> None:
        """Begin the run.

        :param time: its date, counted from the beginning of the day that it writes; by default Airflow chooses one
        """
        self.instance.api.wait_until_parsed(self.dag_id, TIMEOUT)
        self.instance.api.unpause(self.dag_id)
        date = None if time is None else self.day.start + time
        self.run_id = self.instance.api.trigger_run(self.dag_id, self.conf, date)

    @property
    def backfill_id(self) -> str:
        """The run that a backfill of the day makes, unless there is a run of that date."""
        return f"backfill__{self.day.start.isoformat()}"

    def start_backfill(self) -> None:
        """Begin a backfill of the day, whose run writes the same partition and tells the same journal."""
        self._programs += self.instance.start_backfill(self.dag_id, self.day.start, self.conf)

    def log_of_backfill(self, name: str) -> str:
        """What a task of the backfill's run has logged so far."""
        with suppress(ApiError):  # It has not begun.
            return self.instance.api.task_log(self.dag_id, self.backfill_id, self.task_id(name))
        return ""

    # What can be waited for

    def wait_until(self, condition: Callable[[], object], what: str, interval: float = 0.1) -> None:
        """Wait until the condition holds.

        :param interval: between two looks (seconds)
        """
        what = f"{what} ({self.dag_id} {self.run_id})"
        wait_until(condition, what=what, timeout=TIMEOUT, interval=interval, detail=self.told)

    def wait_for_airflow(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition holds that is looked up in Airflow's API."""
        self.wait_until(condition, what, SECONDS_BETWEEN_LOOKS)

    def wait_for(self, name: str, event: str, time_number: int = 1) -> None:
        """Wait until a task has told this so many times."""
        what = f"{name} to tell {event!r} ({time_number} times)"
        self.wait_until(lambda: self.journal.times(name, event) >= time_number, what)

    def wait_for_state(self, name: str, *states: str | None) -> None:
        what = f"{name} to be {' or '.join(map(str, states))}"
        self.wait_for_airflow(lambda: self.state(name) in states, what)

    def wait_for_end(self, timeout: float) -> None:
        self.instance.api.wait_for_run(self.dag_id, self.run_id, timeout)

    # What there is to know

    def partition(self, number: int = 0) -> Partition | None:
        """As the registry has it, or None as long as nobody has locked it."""
        try:
            return self.registry.get_partition(PartitionKey(SOURCE, WRITER, self.days[number]))
        except UnknownPartitionError:
            return None

    def partition_state(self, number: int = 0) -> PartitionState | None:
        partition = self.partition(number)
        return None if partition is None else partition.state

    def events(self, number: int = 0) -> list[Event]:
        """The history of one of the days."""
        events: list[Event] = []
        position = self._beginning
        while page := self.registry.events(position, SOURCE).items:
            events += [event for event in page if event.interval == self.days[number]]
            position = page[-1].position
        return events

    def state(self, name: str) -> str | None:
        """Of a task, named without the groups around it, and with the map index if it is mapped."""
        for instance in self.instance.api.task_instances(self.dag_id, self.run_id):
            if self._name(instance["task_id"], instance["map_index"]) == name:
                return instance["state"]
        raise LookupError(f"{self.dag_id} has no task {name}")

    def task_id(self, name: str) -> str:
        """The full id of a task."""
        (found,) = {
            instance["task_id"]
            for instance in self.instance.api.task_instances(self.dag_id, self.run_id)
            if self._name(instance["task_id"], -1) == name
        }
        return found

    def told(self) -> str:
        """The story so far, for messages."""
        lines = [f"{entry.at:.1f} {entry.name} {entry.event}" for entry in self.journal.entries()]
        for number, day in enumerate(self.days):
            lines += [f"{day}: {_sentence(event)}" for event in self.events(number)]
        if self.is_there:
            lines += [
                f"{self._name(one['task_id'], one['map_index'])} is {one['state']}"
                for one in self.instance.api.task_instances(self.dag_id, self.run_id)
            ]
        lines += [program.log_tail() for program in self._programs]
        return "\n".join(lines)

    # What can be done to it

    def let_go(self) -> None:
        """Let whatever is still working end, so that it does not hold a worker for ever."""
        (self.journal.folder / LET_GO).touch()
        self.end_silence()

    def silence_registry(self) -> None:
        """Let nobody of this instance reach the registry by the connection ``frail``; one performance at a time."""
        _silences[self.instance].acquire()
        self._is_silent = True
        self._network.hold()

    def end_silence(self) -> None:
        if self._is_silent:
            self._network.release()
            self._is_silent = False
            _silences[self.instance].release()

    def kill(self, name: str, *, with_supervisor: bool = False) -> None:
        """End the process in which a task works, as the kernel does when memory runs out."""
        told = self.journal.newest(name)
        for pid in [told.parent_pid, told.pid] if with_supervisor else [told.pid]:
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _name(task_id: str, map_index: int) -> str:
        name = task_id.rsplit(".", 1)[-1]
        return name if map_index < 0 else f"{name}[{map_index}]"


def _sentence(event: Event) -> str:
    reason = event.details.get("reason")
    return f"{event.type.value} by {event.holder}, generation {event.generation}" + (
        f": {reason}" if reason else ""
    )
