"""Gathers what Airflow and the guard's notes say about the work of a run, for the verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_partition_registry.proof.graph import (
    are_mapped_together,
    mapped_group_of,
    may_write,
    work_of,
)
from airflow_provider_partition_registry.proof.notes import LockNote, WorkNote
from airflow_provider_partition_registry.proof.verdict import Decision, Grant, Instance, Task, Work
from airflow_provider_partition_registry.runtime.compat import (
    began_at,
    ended_at,
    has_ended_by_itself,
    pull_one,
    states_of_tasks,
)
from airflow_provider_partition_registry.runtime.marks import marks_by_people

# The XCom in which Airflow's branches and short circuits keep their decisions.
_DECISION = "skipmixin_key"


def gather_work(context: Any, unlock: Any, lock: Any, note: LockNote, grant: Grant | None) -> Work:
    """Everything known about the work between a lock and its unlock.

    :param unlock: the task as the DAG has it; ``context`` belongs to its running instance.
    :param grant: the lock under which the work must have begun.
    """
    dag = unlock.dag
    awaited = unlock.get_flat_relative_ids(upstream=True)
    tasks = {
        task_id: _task(dag.get_task(task_id), is_awaited=task_id in awaited)
        for task_id in work_of(unlock, lock)
    }
    index = context["ti"].map_index
    states = {
        (task_id, map_index): state
        for (task_id, map_index), state in states_of_tasks(context, tasks.keys()).items()
        # "removed" instances are left over from before a clear, after which the task was mapped over fewer values.
        if state != "removed"
        and (map_index == index or not are_mapped_together(unlock, dag.get_task(task_id)))
    }
    work = Work(tasks, _instances(context, states, note.holder), grant)
    work = _with_decisions(context, dag, _with_marks(context, work))
    return _with_times(context, lock, note, work)


def _task(task: Any, *, is_awaited: bool) -> Task:
    rule = task.trigger_rule
    return Task(
        task.task_id,
        upstream=frozenset(task.upstream_task_ids),
        downstream=frozenset(task.downstream_task_ids),
        trigger_rule=str(getattr(rule, "value", rule)),
        writes=may_write(task),
        is_awaited=is_awaited,
        mapped_group=mapped_group_of(task),
    )


def _instances(context: Any, states: dict[tuple[str, int], str | None], holder: str) -> tuple[Instance, ...]:
    notes = {
        task_id: WorkNote.all_of(context["ti"], task_id) for task_id in {task_id for task_id, _ in states}
    }
    return tuple(
        _instance(task_id, map_index, state, notes[task_id].get(map_index), holder)
        for (task_id, map_index), state in sorted(states.items())
    )


def _instance(
    task_id: str, map_index: int, state: str | None, note: WorkNote | None, holder: str
) -> Instance:
    if note is None:
        return Instance(task_id, map_index, state)
    return Instance(task_id, map_index, state, note.grants.get(holder), note.ended)


def _with_marks(context: Any, work: Work) -> Work:
    """Look up which instances a person marked as success, for those whose end nothing else shows."""
    doubtful = {each.task_id for each in work.writers() if each.state == "success" and not each.ended}
    if not doubtful:
        return work
    marks = marks_by_people(context, doubtful)
    return _with(work, lambda each: replace(each, by_hand=each.key in marks))


def _with_decisions(context: Any, dag: Any, work: Work) -> Work:
    """Look up decisions, if anything was skipped."""
    if all(each.state != "skipped" for each in work.instances):
        return work
    return _with(
        work,
        lambda each: replace(
            each,
            decision=_decision(context, work, each),
            had_nothing_to_map=_had_nothing_to_map(context, dag.get_task(each.task_id), each),
        ),
    )


def _decision(context: Any, work: Work, instance: Instance) -> Decision | None:
    if instance.state != "success" or not work.tasks[instance.task_id].downstream:
        return None
    value = pull_one(context["ti"], instance.task_id, _DECISION, instance.map_index)
    if not value:
        return None
    followed = value.get("followed")
    return Decision(None if followed is None else frozenset(followed), frozenset(value.get("skipped", ())))


def _had_nothing_to_map(context: Any, task: Any, instance: Instance) -> bool:
    """Whether a list that the task is mapped over exists and is empty."""
    if instance.state != "skipped" or instance.map_index >= 0 or not task.get_needs_expansion():
        return False
    if not hasattr(task, "iter_mapped_dependencies"):  # a task in a mapped group that is not mapped itself
        return False
    lists = [
        pull_one(context["ti"], upstream.task_id, "return_value", -1)
        for upstream in task.iter_mapped_dependencies()
    ]
    return any(each is not None and len(each) == 0 for each in lists)


def _with_times(context: Any, lock: Any, note: LockNote, work: Work) -> Work:
    """Where no guard ran, compare Airflow's own times of the lock task and of the work.

    These times belong to the present lock only if it is still the one that the lock task took.
    """
    if note.grant is None or note.grant != work.grant:
        return work
    locked_at = ended_at(context, lock.task_id, note.map_index)

    def with_time(each: Instance) -> Instance:
        if each.began_under is not None or each.state != "success" or not work.tasks[each.task_id].writes:
            return each
        began = began_at(context, each.task_id, each.map_index)
        is_later = began is not None and locked_at is not None and began >= locked_at
        # An instance that was only marked as successful has times, too.
        has_run = is_later and (each.by_hand or has_ended_by_itself(context, each.task_id, each.map_index))
        return replace(each, began_after_lock=has_run)

    return _with(work, with_time)


def _with(work: Work, change: Any) -> Work:
    return replace(work, instances=tuple(change(each) for each in work.instances))
