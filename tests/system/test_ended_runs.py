"""A run that is over leaves no lock behind, however it ended; and what people say by hand is told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_partition_registry.store.base import RegistryStore
from testbed.airflow import AirflowInstance

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

VERSIONS = (2, 3)
TIMEOUT = 200.0


def start_run(instance: AirflowInstance, dag_id: str, day: str) -> str:
    instance.api.wait_until_parsed(dag_id)
    instance.api.unpause(dag_id)
    return instance.api.trigger_run(dag_id, {"day": day})


def mark_task(api: Any, dag_id: str, run_id: str, task_id: str, map_index: int | None = None) -> None:
    index = "" if map_index is None else f"/{map_index}"
    body = {"new_state": "success"} | ({"dry_run": False} if "v1" in api.path else {})
    api.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}{index}", body)


def mark_run(api: Any, dag_id: str, run_id: str, state: str) -> None:
    api.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})


class TestWordsOfPeople:
    DAG_ID = "words_of_people"

    @pytest.fixture
    def working(self, instances: Mapping[int, AirflowInstance], version: int, registry: RegistryStore) -> str:
        """A run whose tasks are at work, but for one that has ended by itself."""
        api = instances[version].api
        run_id = start_run(instances[version], self.DAG_ID, f"2026-10-{version:02}")
        api.wait_for_task_state(self.DAG_ID, run_id, "work", "running", TIMEOUT)
        api.wait_for_task_state(self.DAG_ID, run_id, "work_on", "success", TIMEOUT, map_index=0)
        api.wait_for_task_state(self.DAG_ID, run_id, "work_on", "running", TIMEOUT, map_index=1)
        return run_id

    def heard(self, api: Any, run_id: str) -> Any:
        api.wait_for_task_state(self.DAG_ID, run_id, "ask", "success", TIMEOUT)
        return api.xcom(self.DAG_ID, run_id, "ask")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_of_single_tasks(
        self, instances: Mapping[int, AirflowInstance], version: int, working: str
    ) -> None:
        api = instances[version].api

        mark_task(api, self.DAG_ID, working, "work")
        mark_task(api, self.DAG_ID, working, "work_on", 1)

        assert self.heard(api, working) == ["work[-1]", "work_on[1]"]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_of_a_whole_run_are_none(
        self, instances: Mapping[int, AirflowInstance], version: int, working: str
    ) -> None:
        api = instances[version].api

        mark_task(api, self.DAG_ID, working, "work_on", 1)
        mark_run(api, self.DAG_ID, working, "success")

        assert self.heard(api, working) == []
        assert api.task_instance(self.DAG_ID, working, "work")["state"] == "success"
