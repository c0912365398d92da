"""What people do to a run, by the functions that Airflow's own pages call."""

from __future__ import annotations

import json
from typing import Any

from airflow.utils.session import create_session

from tests.airflow.stories.model import Key
from tests.airflow.stories.running import AirflowRun
from tests.airflow.versions import IS_AIRFLOW_3


def mark_task(run: AirflowRun, key: Key, state: str) -> None:
    """Mark one task instance, and nothing else."""
    (_mark_task_3 if IS_AIRFLOW_3 else _mark_task_2)(run, key, state)


def mark_run(run: AirflowRun, state: str) -> None:
    """Mark the run as a whole."""
    (_mark_run_3 if IS_AIRFLOW_3 else _mark_run_2)(run, state)


def clear_task(run: AirflowRun, key: Key, *, downstream: bool) -> None:
    """Clear a task, with all its map indexes."""
    (_clear_task_3 if IS_AIRFLOW_3 else _clear_task_2)(run, key, downstream=downstream)


def clear_run(run: AirflowRun) -> None:
    """Clear the whole run."""
    with run.opened() as (dag_run, session):
        if IS_AIRFLOW_3:
            run.scheduler_dag.clear(run_id=run.run_id, session=session)
        else:
            run.scheduler_dag.clear(
                start_date=dag_run.execution_date, end_date=dag_run.execution_date, session=session
            )


def _mark_task_3(run: AirflowRun, key: Key, state: str) -> None:
    from airflow.api_fastapi.core_api.datamodels.task_instances import PatchTaskInstanceBody
    from airflow.api_fastapi.core_api.services.public.task_instances import _patch_task_instance_state

    if run.states()[key] == state:
        return  # Airflow answers 409, and changes nothing.
    body = PatchTaskInstanceBody(new_state=state)
    body.__dict__["map_index"] = key[1]  # otherwise it counts as a request about several instances
    with create_session() as session:
        _patch_task_instance_state(key[0], run.run_id, run.scheduler_dag, body, {"new_state": state}, session)


def _mark_run_3(run: AirflowRun, state: str) -> None:
    from airflow.api_fastapi.core_api.datamodels.dag_run import DagRunMutableStates
    from airflow.api_fastapi.core_api.services.public.dag_run import patch_dag_run_state

    with run.opened() as (dag_run, session):
        patch_dag_run_state(
            dag=run.scheduler_dag, dag_run=dag_run, state=DagRunMutableStates(state), session=session
        )


def _clear_task_3(run: AirflowRun, key: Key, *, downstream: bool) -> None:
    from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
    from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
    from airflow.models.dagbag import DBDagBag

    body = ClearTaskInstancesBody(
        dry_run=False,
        dag_run_id=run.run_id,
        task_ids=[key[0]],
        include_downstream=downstream,
        only_failed=False,
    )
    with create_session() as session:
        post_clear_task_instances(run.dag.dag_id, DBDagBag(), body, session, None)


def _mark_task_2(run: AirflowRun, key: Key, state: str) -> None:
    _log_2(run, state, {"task_id": key[0], "map_index": str(key[1])}, task_id=key[0])
    with create_session() as session:
        run.scheduler_dag.set_task_instance_state(
            task_id=key[0], map_indexes=[key[1]], run_id=run.run_id, state=state, session=session
        )


def _mark_run_2(run: AirflowRun, state: str) -> None:
    from airflow.api.common import mark_tasks

    _log_2(run, f"dagrun_{state}", {})
    mark = {
        "success": mark_tasks.set_dag_run_state_to_success,
        "failed": mark_tasks.set_dag_run_state_to_failed,
    }
    with create_session() as session:
        mark[state](dag=run.scheduler_dag, run_id=run.run_id, commit=True, session=session)


def _clear_task_2(run: AirflowRun, key: Key, *, downstream: bool) -> None:
    subset = run.scheduler_dag.partial_subset([key[0]], include_downstream=downstream, include_upstream=False)
    with run.opened() as (dag_run, session):
        when = dag_run.execution_date
        subset.clear(start_date=when, end_date=when, session=session)


def _log_2(run: AirflowRun, event: str, fields: dict[str, Any], **columns: Any) -> None:
    """Log as Airflow 2's web server does before it carries out a person's request."""
    from airflow.models import Log

    asked = {"dag_id": run.dag.dag_id, "dag_run_id": run.run_id, "confirmed": "true", **fields}
    with create_session() as session:
        session.add(Log(event, None, owner="a person", extra=json.dumps(asked), **run.key, **columns))
