"""What Airflow knows about the runs and tasks that hold locks, asked through its API or its database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_partition_registry.runtime.compat import IS_AIRFLOW_3, states_of_task
from airflow_provider_partition_registry.runtime.identity import HolderIdentity

SUCCESS, FAILED = "success", "failed"
ENDED = (SUCCESS, FAILED)

RunKey = tuple[str, str]
"""A run's DAG id and run id."""


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    :param state: None if Airflow no longer knows the run: it was deleted.
    :param tasks: the states of those of the wanted tasks that exist, by task id and map index.
    """

    state: str | None
    tasks: Mapping[tuple[str, int], str | None] = field(default_factory=dict)


AskAirflow = Callable[[Collection[HolderIdentity]], Mapping[RunKey, RunState]]
"""Says for every run of these lock holders how it stands, with the states of the holders' own tasks."""


def run_of(holder: HolderIdentity) -> RunKey:
    """The run that a lock holder belongs to."""
    return holder.dag_id, holder.run_id


def ask_in_task(ti: Any) -> AskAirflow:
    """Ask from inside a running task: on Airflow 3 its API, on Airflow 2 its database."""
    if not IS_AIRFLOW_3:
        return ask_database

    def ask(holders: Collection[HolderIdentity]) -> dict[RunKey, RunState]:
        return {run: _ask_api(ti, run, tasks) for run, tasks in _tasks_by_run(holders).items()}

    return ask


def _ask_api(ti: Any, run: RunKey, task_ids: Collection[str]) -> RunState:
    dag_id, run_id = run

    def is_there(states: list[str] | None = None) -> bool:
        # By counting, as asking for a run's state fails alike when the run was deleted and when the API server is ill.
        return bool(ti.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=states))

    if not is_there():
        return RunState(None)
    state = next((each for each in ENDED if is_there([each])), "running")
    tasks = {
        (task_id, index): task_state
        for task_id in task_ids
        for index, task_state in states_of_task(ti, dag_id, run_id, task_id).items()
    }
    return RunState(state, tasks)


def ask_database(holders: Collection[HolderIdentity]) -> dict[RunKey, RunState]:
    """Ask Airflow's own database, in schedulers, web and API servers, commands, and tasks of Airflow 2."""
    from airflow.models import DagRun, TaskInstance
    from airflow.utils.session import create_session

    found = {}
    with create_session() as session:
        for (dag_id, run_id), task_ids in _tasks_by_run(holders).items():
            of_run = {"dag_id": dag_id, "run_id": run_id}
            state = session.query(DagRun.state).filter_by(**of_run).scalar()
            columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
            tasks = session.query(*columns).filter_by(**of_run).filter(TaskInstance.task_id.in_(task_ids))
            found[dag_id, run_id] = RunState(
                _text(state), {(task_id, index): _text(each) for task_id, index, each in tasks}
            )
    return found


def states_of_runs(runs: Iterable[RunKey]) -> dict[RunKey, str | None]:
    """Ask Airflow's own database how runs stand; unknown runs are left out."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session

    wanted = set(runs)
    with create_session() as session:
        found = session.query(DagRun.dag_id, DagRun.run_id, DagRun.state).filter(
            DagRun.dag_id.in_({dag_id for dag_id, _ in wanted}),
            DagRun.run_id.in_({run_id for _, run_id in wanted}),
        )
        return {(dag_id, run_id): _text(state) for dag_id, run_id, state in found}


def _tasks_by_run(holders: Collection[HolderIdentity]) -> dict[RunKey, set[str]]:
    tasks: dict[RunKey, set[str]] = {}
    for holder in holders:
        tasks.setdefault(run_of(holder), set()).add(holder.task_id)
    return tasks


def _text(state: Any) -> str | None:
    """The text of a state; Airflow's states print with the name of their class."""
    return None if state is None else str(getattr(state, "value", state))
