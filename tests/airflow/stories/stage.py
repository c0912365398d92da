"""Performing a story: a real run and a real registry, with the model beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    LOCKED_STATES,
    EventType,
    Partition,
    PartitionState,
)
from airflow_provider_partition_registry.runtime.identity import prefix_of
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.running import START
from tests.airflow.stories import hands
from tests.airflow.stories.background import Background
from tests.airflow.stories.dags import make_dag
from tests.airflow.stories.model import Key, Model
from tests.airflow.stories.plans import Hand, Plan, Turn
from tests.airflow.stories.running import ENDED, AirflowRun, Died

try:
    from airflow.sdk import get_current_context
except ImportError:  # Airflow 2
    from airflow.operators.python import get_current_context

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_partition_registry.domain.models import PartitionKey

SOURCE, PROVIDER, INSTANCE = "sales", "loader", "here"  # those of the connection in tests.airflow.registries
OTHER = "somebody"

_numbers = count(1)


class Stage:
    """One run of the plan's DAG, which writes a day of its own."""

    def __init__(self, plan: Plan, registry: RegistryStore, background: Background) -> None:
        number = next(_numbers)
        start = START + timedelta(days=number)
        self.day = Interval(start, start + timedelta(days=1))
        self.registry = registry
        self.background = background
        self.told: list[str] = []
        self.faults: list[
            Exception
        ] = []  # kept here, as Airflow takes errors raised in a task for the task's own
        self.turn = Turn()
        self._seen = registry.last_position()
        self._published_under = 0
        self._by_others: set[int] = set()
        if plan.was_ready:
            self._take_over()
            self._finish_take_over()
        partition = {"source_name": SOURCE, "start": self.day.start.isoformat(), "grain": "day"}
        self.dag = make_dag(f"story_{number}", plan, partition, self)
        self.run = AirflowRun(self.dag)
        self.model = Model(
            upstream={task.task_id: task.upstream_task_ids for task in self.dag.tasks},
            writers=frozenset(_writers(self.dag)),
            on_skipped=plan.on_skipped,
        )

    # What happens

    def play(self, turn: Turn) -> bool:
        """Let Airflow's scheduler work, and one task instance run. Returns whether there was one."""
        before = self.run.states()
        waiting = self.run.schedule()
        scheduled = self.run.states()
        self.model.states_change(before, scheduled, by_dag=True)
        if waiting:
            self.turn, self._hand_was_laid = turn, False
            key = waiting[turn.which % len(waiting)]
            self._tell(f"{_label(key)}: {turn.outcome}" + (f", {turn.meanwhile}" if turn.meanwhile else ""))
            self.run.execute(key)
            after = self.run.states()
            self.model.states_change(scheduled, after, by_dag=not self._hand_was_laid, itself=key)
        self._settle()
        return bool(waiting)

    def lay(self, hand: Hand) -> None:
        """Let somebody intervene between two tasks."""
        before = self.run.states()
        self._tell(repr(hand))
        self._do(hand)
        self.model.states_change(before, self.run.states(), by_dag=False)
        self._settle()

    def _settle(self) -> None:
        self.background.look_again()
        self._follow_history()
        self._tell_states()
        self._check()

    # What the tasks do

    def write(self) -> None:
        """The code of a task that writes."""
        key = _key_of(get_current_context()["ti"])
        with self._faults_noted():
            partition = self._partition()
            assert partition is not None, f"{key} writes what is not registered"
            assert self._is_locked_by_run(partition), f"{key} writes what is {partition.state.value}"
        self.model.begins(key, partition.generation)
        self._live(key)
        self.model.ends(key)

    def decide(self) -> list[str]:
        """The code of a branch or short circuit."""
        ti = get_current_context()["ti"]
        self._live(_key_of(ti))
        ways = sorted(self.dag.get_task(ti.task_id).downstream_task_ids)
        chosen = {"choose none": [], "choose first": ways[:1]}.get(self.turn.outcome, ways)
        self.model.decides(ti.task_id, chosen)
        return chosen

    def begin(self, context: Any) -> None:
        """Before the code of a lock or unlock."""
        self._live(_key_of(context["ti"]), may_die=False)

    def end(self, context: Any) -> None:
        """After it: the registry has done what it was asked, but Airflow does not know yet."""
        if self.turn.outcome == "die":
            self._die()

    def _live(self, key: Key, *, may_die: bool = True) -> None:
        outcome = self.turn.outcome
        if self.turn.meanwhile is not None:
            with self._faults_noted():
                self._meanwhile(key, self.turn.meanwhile)
        if outcome == "fail":
            raise RuntimeError("disk full")
        if outcome == "skip itself":
            raise AirflowSkipException("I do not want to")
        if outcome == "die" and may_die:
            self._die()

    def _meanwhile(self, key: Key, hand: Hand) -> None:
        before = self.run.states()
        self._hand_was_laid = True
        self._do(hand)
        after = self.run.states()
        self.model.states_change(before, after, by_dag=False)
        self.background.look_once()
        if after.get(key) != "running":  # its worker notices, and stops it
            self._die()

    @contextmanager
    def _faults_noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.faults.append(error)
            raise

    def _die(self) -> None:
        self.run.dies = True
        raise Died

    # Hands

    def _do(self, hand: Hand) -> None:
        keys = sorted(self.run.states())
        key = keys[hand.target % len(keys)]
        generation = self._generation()
        if hand.what.startswith("clear"):
            before = self.run.states()
            if hand.what == "clear run":
                hands.clear_run(self.run)
            else:
                hands.clear_task(self.run, key, downstream=hand.what.endswith("downstream"))
            now = self.run.states()
            self.model.is_cleared([each for each in before if now.get(each) != before[each]])
        elif hand.what.startswith("mark run"):
            hands.mark_run(self.run, hand.what.removeprefix("mark run "))
        elif hand.what.startswith("mark task"):
            self._tell(f"... {_label(key)}")
            hands.mark_task(self.run, key, hand.what.removeprefix("mark task "))
            if hand.what.endswith("success"):
                self.model.is_vouched_for([key], generation)
        elif hand.what == "finish the take-over":
            self._finish_take_over()
        else:
            self._release_by_force()
            if hand.what == "take over":
                self._take_over()

    def _release_by_force(self) -> None:
        partition = self._partition()
        if partition is not None and partition.state in LOCKED_STATES:
            self.registry.force_release(
                PartitionKey(SOURCE, PROVIDER, self.day), reason="it hangs", by="an operator"
            )

    def _take_over(self) -> None:
        self.registry.lock(PartitionKey(SOURCE, PROVIDER, self.day), holder=OTHER, register=True)

    def _finish_take_over(self) -> None:
        partition = self._partition()
        if partition is None or partition.state not in LOCKED_STATES:
            return
        assert partition.lock is not None
        if partition.lock.holder.identity == OTHER:
            self.registry.unlock(PartitionKey(SOURCE, PROVIDER, self.day), holder=OTHER)

    # What must hold

    def _check(self) -> None:
        if self.faults:
            raise self.faults[0]
        partition = self._partition()
        if partition is None:
            return
        if partition.state is PartitionState.READY and self._published_under not in self._by_others:
            wrong = self.model.why_not_good(self._published_under)
            assert not wrong, f"generation {self._published_under} is published, but {wrong}"
        if self.run.state in ENDED:
            assert not self._is_locked_by_run(partition), f"the run is over, and {partition} still locked"

    def check_liveness(self) -> None:
        """Check that without accidents everything that was written is published."""
        states = self.run.states()
        if set(states.values()) == {"success"}:
            partition = self._partition()
            assert partition is not None
            assert partition.state is PartitionState.READY, f"all is well, but {partition}"
            assert self._published_under not in self._by_others

    def _follow_history(self) -> None:
        for event in self.registry.events(self._seen, source_name=SOURCE).items:
            self._seen = event.position
            if event.type is not EventType.UNLOCK or event.interval != self.day:
                continue
            assert event.generation is not None
            self._published_under = event.generation
            if event.holder == OTHER:
                self._by_others.add(event.generation)
            else:
                self.model.is_published(event.generation)
                wrong = self.model.why_not_published()
                assert not wrong, f"published, but {wrong}"

    def _partition(self) -> Partition | None:
        from airflow_provider_partition_registry.domain.errors import UnknownPartitionError

        try:
            return self.registry.get_partition(PartitionKey(SOURCE, PROVIDER, self.day))
        except UnknownPartitionError:
            return None

    def _generation(self) -> int:
        partition = self._partition()
        return 0 if partition is None else partition.generation

    def _is_locked_by_run(self, partition: Partition) -> bool:
        prefix = prefix_of(INSTANCE, self.dag.dag_id, self.run.run_id)
        return (
            partition.state in LOCKED_STATES
            and partition.lock is not None
            and partition.lock.holder.identity.startswith(prefix)
        )

    @property
    def ending(self) -> str:
        """How the partition ended."""
        partition = self._partition()
        return "never registered" if partition is None else partition.state.value

    # In words

    def _tell(self, text: str) -> None:
        self.told.append(text)

    def _tell_states(self) -> None:
        partition = self._partition()
        standing = "unknown" if partition is None else f"{partition.state.value} ({partition.generation})"
        states = " ".join(f"{_label(key)}={state}" for key, state in self.run.states().items() if state)
        self._tell(f"    {standing}; run {self.run.state}; {states}")


def _writers(dag: Any) -> list[Key]:
    from tests.airflow.stories.dags import WIDTH

    found: list[Key] = []
    for task in dag.tasks:
        kind = getattr(task, "operator_class", type(task)).__name__
        if "Lock" in kind or "Unlock" in kind or "Branch" in kind or "ShortCircuit" in kind:
            continue
        is_mapped = task.get_needs_expansion() or task.get_closest_mapped_task_group() is not None
        found += [(task.task_id, index) for index in (range(WIDTH) if is_mapped else [-1])]
    return found


def _key_of(ti: Any) -> Key:
    return ti.task_id, -1 if ti.map_index is None else ti.map_index


def _label(key: Key) -> str:
    return key[0] if key[1] < 0 else f"{key[0]}[{key[1]}]"
