"""A triggerer is killed while a sensor waits in it, on real instances of both versions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "deferred_wait"
DAYS = {2: Interval("2026-11-02", "2026-11-03"), 3: Interval("2026-11-03", "2026-11-04")}


@pytest.mark.parametrize("version", DAYS)
def test_what_is_published_meanwhile_is_found_afterwards(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, version: int
) -> None:
    instance, day = instances[version], DAYS[version]
    instance.api.wait_until_parsed(DAG_ID)
    instance.api.unpause(DAG_ID)
    run_id = instance.api.trigger_run(DAG_ID, {"day": f"{day.start:%Y-%m-%d}"})
    instance.api.wait_for_task_state(DAG_ID, run_id, "wait", "deferred", 300)

    instance.kill("triggerer")
    registry.lock(PartitionKey("system.deferred", "night-loader", day), register=True)
    registry.unlock(PartitionKey("system.deferred", "night-loader", day))
    instance.restart("triggerer")

    assert instance.api.wait_for_run(DAG_ID, run_id, 300) == "success"
    (task,) = instance.api.task_instances(DAG_ID, run_id)
    assert task["try_number"] in {0, 1}
