"""Airflow with one run: its own scheduling and execution of tasks, in this process, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session

from tests.airflow.running import START, store_dag
from tests.airflow.stories.model import Key
from tests.airflow.versions import IS_AIRFLOW_3

ENDED = ("success", "failed")


class Died(BaseException):
    """The process of a task was killed."""


class AirflowRun:
    """One run of a DAG.

    :param dag: as its file has it.
    """

    def __init__(self, dag: DAG) -> None:
        store_dag(dag)
        self.dag = dag
        self.scheduler_dag = _as_others_have_it(dag)
        self.run_id = f"run-{uuid4()}"
        self.dies = False
        self._create()

    @property
    def key(self) -> dict[str, str]:
        """The keys of the run, for queries."""
        return {"dag_id": self.dag.dag_id, "run_id": self.run_id}

    def _create(self) -> None:
        from airflow.utils.types import DagRunType

        common = {"run_id": self.run_id, "run_type": DagRunType.MANUAL, "state": "queued"}
        with create_session() as session:
            if IS_AIRFLOW_3:
                from airflow.utils.types import DagRunTriggeredByType

                self.scheduler_dag.create_dagrun(
                    **common,
                    logical_date=START,
                    data_interval=(START, START),
                    run_after=START,
                    triggered_by=DagRunTriggeredByType.TEST,
                    session=session,
                )
            else:
                self.scheduler_dag.create_dagrun(
                    **common, execution_date=START, data_interval=(START, START), session=session
                )

    @contextmanager
    def opened(self) -> Iterator[tuple[Any, Any]]:
        """The run in Airflow's database, with the session."""
        from airflow.models import DagRun

        with create_session() as session:
            dag_run = session.query(DagRun).filter_by(**self.key).one()
            dag_run.dag = self.scheduler_dag
            yield dag_run, session

    @property
    def state(self) -> str:
        """The state of the run."""
        with self.opened() as (dag_run, _):
            return _text(dag_run.state)

    def states(self) -> dict[Key, str | None]:
        """The states of its task instances."""
        from airflow.models import TaskInstance

        with create_session() as session:
            found = session.query(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
            return {
                (task_id, index): state and _text(state)
                for task_id, index, state in found.filter_by(**self.key).order_by(
                    TaskInstance.task_id, TaskInstance.map_index
                )
            }

    def schedule(self) -> list[Key]:
        """Let Airflow's scheduler work once; returns the task instances that are to run now."""
        with self.opened() as (dag_run, session):
            if dag_run.state == "queued":
                dag_run.state = "running"
                session.flush()
                dag_run.notify_dagrun_state_changed(msg="started")
            if dag_run.state == "running":
                schedulable, _ = dag_run.update_state(session=session)
                dag_run.schedule_tis(schedulable, session=session)
        return [key for key, state in self.states().items() if state == "scheduled"]

    def execute(self, key: Key) -> None:
        """Run a task instance as a worker does."""
        self.dies = False
        with suppress(Died):
            (self._execute_3 if IS_AIRFLOW_3 else self._execute_2)(key)
        assert self.states()[key] != "queued", f"{key} could not be executed"
        if self.dies and self.states()[key] == "running":
            self._find_dead(key)

    def _instance(self, key: Key, session: Any) -> Any:
        from airflow.models import TaskInstance

        task_id, index = key
        ti = session.query(TaskInstance).filter_by(**self.key, task_id=task_id, map_index=index).one()
        ti.task = self.scheduler_dag.get_task(task_id)
        return ti

    def _execute_2(self, key: Key) -> None:
        with create_session() as session:
            ti = self._instance(key, session)
            ti.task = self.dag.get_task(key[0])
            ti.state = "queued"
            session.commit()
            fail = ti.handle_failure
            ti.handle_failure = lambda *args, **kwargs: None if self.dies else fail(*args, **kwargs)
            try:
                ti.run(session=session)
            except Died:
                session.rollback()
            except Exception:
                pass

    def _execute_3(self, key: Key) -> None:
        from tests.airflow.stories.worker_of_3 import run_task

        with create_session() as session:
            ti = self._instance(key, session)
            ti.state = "queued"
            session.flush()
            names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
            found = {name: getattr(ti, name) for name in names}
        run_task(found, self.dag.get_task(key[0]), is_dead=lambda: self.dies)

    def _find_dead(self, key: Key) -> None:
        """The scheduler finds a task whose heartbeat has stopped."""
        with create_session() as session:
            self._instance(key, session).handle_failure(error="no heartbeat", session=session)


def _as_others_have_it(dag: DAG) -> Any:
    """The DAG as the scheduler, the web server and the API server read it: from the database."""
    from airflow.serialization import serialized_objects

    kind = serialized_objects.DagSerialization if IS_AIRFLOW_3 else serialized_objects.SerializedDAG
    return kind.from_dict(json.loads(json.dumps(kind.to_dict(dag))))


def _text(state: Any) -> str:
    return str(getattr(state, "value", state))
