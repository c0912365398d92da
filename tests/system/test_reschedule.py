"""Waits in reschedule mode, on real instances of both versions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "rescheduled_wait"
DAYS = {2: Interval("2026-11-02", "2026-11-03"), 3: Interval("2026-11-03", "2026-11-04")}


@pytest.mark.parametrize("version", DAYS)
def test_the_log_says_what_is_missing_when_it_changes(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, version: int
) -> None:
    instance, day = instances[version], DAYS[version]
    instance.api.wait_until_parsed(DAG_ID)
    instance.api.unpause(DAG_ID)
    run_id = instance.api.trigger_run(DAG_ID, {"day": f"{day.start:%Y-%m-%d}"})

    def times_in_log(text: str) -> int:
        logs = instance.logs_folder.glob(f"dag_id={DAG_ID}/run_id={run_id}/task_id=wait/*.log")
        return sum(log.read_text().count(text) for log in logs)

    def wait_for_pokes(count: int) -> None:
        wait_until(lambda: times_in_log("Rescheduling task") >= count, what=f"{count} pokes", timeout=300)

    wait_for_pokes(3)
    registry.lock(PartitionKey("system.rescheduled", "night-loader", day), register=True)
    wait_until(lambda: times_in_log("is being written by"), what="the lock to be told", timeout=60)
    wait_for_pokes(6)
    registry.unlock(PartitionKey("system.rescheduled", "night-loader", day))

    assert instance.api.wait_for_run(DAG_ID, run_id, 300) == "success"
    assert times_in_log("nobody has published") == times_in_log("is being written by") == 1
