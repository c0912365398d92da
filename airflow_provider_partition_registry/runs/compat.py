"""Where Airflow's versions differ, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow import __version__

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

AIRFLOW_VERSION = tuple(int(part) for part in __version__.split(".")[:2])
IS_AIRFLOW_3 = AIRFLOW_VERSION >= (3, 0)

# Before, a trigger started by the scheduler would see the text of templates instead of their values.
CAN_START_FROM_TRIGGER = AIRFLOW_VERSION >= (3, 3)

# Airflow 3 may fail a task that is resumed while its worker is still being put to rest after the deferral, which
# takes it up to `[workers] min_heartbeat_interval` (5 s).
RESUME_NOT_BEFORE = 6.0 if IS_AIRFLOW_3 else 0.0  # seconds after a trigger starts


async def push_result(task_instance: Any, value: Any) -> None:
    """Store a task's result from inside a trigger that ends it, on Airflow 3.

    The XComs of an end event would arrive as JSON text instead of the value.
    """
    from airflow.sdk.execution_time.xcom import XCom

    await XCom.aset(
        "return_value",
        value,
        dag_id=task_instance.dag_id,
        task_id=task_instance.task_id,
        run_id=task_instance.run_id,
        map_index=-1 if task_instance.map_index is None else task_instance.map_index,
    )


def states_of_tasks(
    context: Mapping[str, Any], task_ids: Collection[str]
) -> dict[tuple[str, int], str | None]:
    """The states of tasks of the same run, by task id and map index (-1 for tasks that are not mapped)."""
    ti = context["ti"]
    if not IS_AIRFLOW_3:
        return {
            (each.task_id, each.map_index): each.state
            for each in context["dag_run"].get_task_instances()
            if each.task_id in task_ids
        }
    states: dict[tuple[str, int], str | None] = {}
    for (
        task_id
    ) in task_ids:  # one by one: the answer joins task id and map index, which only so come apart again
        found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[ti.run_id]).get(
            ti.run_id, {}
        )
        for key, state in found.items():
            states[task_id, int(key.removeprefix(f"{task_id}_")) if key != task_id else -1] = state
    return states
