"""Real DAGs for the plans; their tasks ask the stage what to do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from airflow.providers.common.compat.sdk import DAG, chain, task, task_group

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from tests.airflow.running import START
from tests.airflow.stories.plans import Plan, Step

WIDTH = 2
"""Of everything that is mapped."""


class Actor(Protocol):
    """Decides what the tasks of the DAG do."""

    def write(self) -> None:
        """The code of a task that writes."""

    def decide(self) -> list[str]:
        """The code of a branch or short circuit: which of the tasks after it go on."""

    def begin(self, context: Any) -> None:
        """Before the code of a lock or unlock."""

    def end(self, context: Any) -> None:
        """After it."""


def make_dag(dag_id: str, plan: Plan, partition: dict[str, Any], actor: Actor) -> DAG:
    """The DAG, with tasks called after the numbers of the steps."""
    arguments = {"retries": plan.retries, "retry_delay": timedelta(0)}
    with DAG(dag_id=dag_id, schedule=None, start_date=START, catchup=False, default_args=arguments) as dag:
        if plan.form == "group":
            with partition_lock("day", **partition, lease=plan.lease, on_skipped=plan.on_skipped) as group:
                _make_steps(plan, actor)
            pair = group.lock, group.unlock
        else:
            pair = _make_pair(plan, partition)
            _surround(*pair, _make_steps(plan, actor))
    for each in pair:
        each._pre_execute_hook = actor.begin
        each._post_execute_hook = lambda context, result=None: actor.end(context)
    return dag


def _make_pair(plan: Plan, partition: dict[str, Any]) -> tuple[Any, Any]:
    lock = PartitionLockOperator(task_id="lock", lease=plan.lease, **partition)
    unlock = PartitionUnlockOperator(task_id="unlock", on_skipped=plan.on_skipped, **partition)
    if plan.form == "teardown":
        lock.as_setup()
        unlock.as_teardown(setups=lock)
    return lock, unlock


def _surround(lock: Any, unlock: Any, steps: list[tuple[Step, Any]]) -> None:
    waited_for = {number for step, _ in steps for number in step.after}
    for number, (step, made) in enumerate(steps):
        if not step.after:
            lock >> made
        if number not in waited_for:
            made >> unlock
    if unlock.is_teardown:
        lock >> unlock


def _make_steps(plan: Plan, actor: Actor) -> list[tuple[Step, Any]]:
    made: list[tuple[Step, Any]] = []
    for number, step in enumerate(plan.steps):
        made.append((step, _KINDS[step.kind](f"t{number}", step.rule, actor)))
        for other in sorted(step.after):
            chain(made[other][1], made[number][1])
    return made


def _make_work(name: str, rule: str, actor: Actor) -> Any:
    return task(task_id=name, trigger_rule=rule)(actor.write)()


def _make_branch(name: str, rule: str, actor: Actor) -> Any:
    return task.branch(task_id=name, trigger_rule=rule)(actor.decide)()


def _make_short_circuit(name: str, rule: str, actor: Actor) -> Any:
    def decide() -> bool:
        return bool(actor.decide())

    return task.short_circuit(task_id=name, trigger_rule=rule)(decide)()


def _make_mapped(name: str, rule: str, actor: Actor) -> Any:
    def write(number: int) -> None:
        actor.write()

    return task(task_id=name, trigger_rule=rule)(write).expand(number=list(range(WIDTH)))


def _make_mapped_group(name: str, rule: str, actor: Actor) -> Any:
    def write(number: int) -> None:
        actor.write()

    @task_group(group_id=name)
    def both(number: int) -> None:
        chain(task(task_id="a")(write)(number), task(task_id="b")(write)(number))

    return both.expand(number=list(range(WIDTH)))


_KINDS: dict[str, Callable[[str, str, Actor], Any]] = {
    "work": _make_work,
    "branch": _make_branch,
    "short circuit": _make_short_circuit,
    "mapped": _make_mapped,
    "mapped group": _make_mapped_group,
}
