"""DAGs and triggers as Airflow's processes pass them to each other."""

from __future__ import annotations

import asyncio
import json
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.common.compat.sdk import DAG

from tests.airflow.running import START
from tests.airflow.versions import IS_AIRFLOW_3, VERSION


@pytest.fixture
def starts_from_trigger() -> bool:
    """Whether a deferrable sensor of ours starts in the triggerer in this Airflow."""
    return VERSION >= (3, 3)


@pytest.fixture
def through_the_database() -> Callable[[DAG], Any]:
    """Gives a DAG as Airflow's scheduler reads it from the database."""

    def there_and_back(dag: DAG) -> Any:
        from airflow.serialization import serialized_objects

        kind = serialized_objects.DagSerialization if IS_AIRFLOW_3 else serialized_objects.SerializedDAG
        return kind.from_dict(json.loads(json.dumps(kind.to_dict(dag))))

    return there_and_back


@pytest.fixture
def trigger_from_row() -> Callable[[str, dict[str, Any]], Any]:
    """Makes a trigger as the triggerer does, from its class path and arguments in the database."""
    from airflow.models.trigger import Trigger

    def inflate(path: str, arguments: dict[str, Any]) -> Any:
        stored = Trigger._decrypt_kwargs(Trigger(classpath=path, kwargs=arguments).encrypted_kwargs)
        if IS_AIRFLOW_3:
            from airflow.serialization.decoders import smart_decode_trigger_kwargs

            stored = {name: smart_decode_trigger_kwargs(value) for name, value in stored.items()}
        return pkgutil.resolve_name(path)(**stored)

    return inflate


@pytest.fixture
def start_in_triggerer(
    starts_from_trigger: bool, trigger_from_row: Callable[[str, dict[str, Any]], Any]
) -> Callable[..., Any]:
    """Starts a sensor's trigger as the triggerer does without a worker, templates rendered."""
    if not starts_from_trigger:
        pytest.skip("only Airflow 3.3 and later render templates in the triggerer")
    from airflow.executors.workloads import TaskInstanceDTO
    from airflow.jobs.triggerer_job_runner import TriggerRunner
    from airflow.serialization.serialized_objects import DagSerialization

    def start(dag: DAG, task_id: str, **run: Any) -> Any:
        data = DagSerialization.to_dict(dag)
        arguments = DagSerialization.from_dict(data).get_task(task_id).start_trigger_args
        trigger = trigger_from_row(arguments.trigger_cls, arguments.trigger_kwargs)
        names = {"dag_id": dag.dag_id, "run_id": "a_run"}
        absent = dict.fromkeys(
            ("logical_date", "data_interval_start", "data_interval_end", "end_date", "partition_key")
        )
        known = {
            "run_after": START,
            "start_date": START,
            "run_type": "manual",
            "state": "running",
            "conf": {},
        }
        ti = TaskInstanceDTO.model_construct(id=uuid4(), **names, task_id=task_id, try_number=1, map_index=-1)
        runtime_ti = TriggerRunner.create_runtime_ti(
            ti, data, {**names, **absent, **known, "consumed_asset_events": [], **run}
        )
        trigger.task_instance = runtime_ti
        trigger.render_template_fields(context=runtime_ti.get_template_context())
        return trigger

    return start


@pytest.fixture
def load_dags() -> Callable[[Path], Any]:
    """Loads a folder as Airflow's DAG processor does."""

    def load(folder: Path) -> Any:
        if IS_AIRFLOW_3:
            from airflow.dag_processing.dagbag import DagBag

            return DagBag(dag_folder=folder)
        from airflow.models.dagbag import DagBag

        return DagBag(dag_folder=folder, include_examples=False)  # type: ignore[call-arg]

    return load


@pytest.fixture
def miss_deadline(trigger_from_row: Callable[[str, dict[str, Any]], Any]) -> Callable[..., list[Any]]:
    """Calls the callback of a DAG's deadline as Airflow does, with a context that has only run and deadline.

    The alert goes through the database as JSON, and the callback is then called by Airflow's own trigger.
    """

    def miss(dag: DAG, **run: Any) -> list[Any]:
        from airflow.api_fastapi.core_api.datamodels.dag_run import DAGRunResponse
        from airflow.serialization.decoders import decode_deadline_alert
        from airflow.serialization.serialized_objects import DagSerialization

        stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        (alert,) = stored["dag"]["deadline"]
        callback = decode_deadline_alert(alert.get("__var", alert)).callback
        told = (
            dict.fromkeys(DAGRunResponse.model_fields) | {"dag_id": dag.dag_id, "dag_run_id": "a_run"} | run
        )
        context = {"dag_run": told, "deadline": {"id": "a_deadline", "deadline_time": datetime.now(UTC)}}
        trigger = trigger_from_row(
            "airflow.triggers.callback.CallbackTrigger",
            {"callback_path": callback.path, "callback_kwargs": callback.kwargs | {"context": context}},
        )
        return asyncio.run(collect(trigger))

    async def collect(trigger: Any) -> list[Any]:
        return [event.payload async for event in trigger.run()]

    return miss
