"""A condition that time alone ends is waited for by several processes, on real instances of both versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "condition_waits"
DAYS = {2: Interval("2026-11-02", "2026-11-03"), 3: Interval("2026-11-03", "2026-11-04")}
AFTER = timedelta(seconds=60)
SOON = timedelta(seconds=60)


@pytest.mark.parametrize("version", DAYS)
def test_the_wait_began_in_its_first_process(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, version: int
) -> None:
    """A triggerer that is killed and starts again does not wait anew, nor do processes that are rescheduled."""
    instance, day = instances[version], DAYS[version]
    early = PartitionKey("system.early", "early-loader", day)
    registry.lock(early, register=True)
    registry.unlock(early)
    instance.api.wait_until_parsed(DAG_ID)
    instance.api.unpause(DAG_ID)
    run_id = instance.api.trigger_run(DAG_ID, {"day": f"{day.start:%Y-%m-%d}"})
    instance.api.wait_for_task_state(DAG_ID, run_id, "deferred", "deferred", 300)

    instance.kill("triggerer")
    instance.restart("triggerer")

    state = instance.api.wait_for_run(DAG_ID, run_id, 300)

    tasks = instance.api.task_instances(DAG_ID, run_id)
    assert state == "success", {task["task_id"]: task["state"] for task in tasks}
    for task in tasks:
        began, ended = (datetime.fromisoformat(task[name]) for name in ("start_date", "end_date"))
        if task["task_id"] == "deferred":  # of a rescheduled task Airflow shows when its last process began
            assert AFTER - timedelta(seconds=1) <= ended - began < AFTER + SOON
