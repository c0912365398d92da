"""A hundred deferred sensors that become ready in the same second, on Airflow 3.3 with its own settings."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.airflow_api import wait_for_airflow

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

DAG_ID = "hundred_sensors"
DAY = Interval("2026-11-01", "2026-11-02")
WRITTEN = PartitionKey("system.hundred", "hundred-loader", DAY)


def test_all_hundred_succeed_at_their_first_try(
    instances: Mapping[int, AirflowInstance],
    registry: RegistryStore,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    instance = instances[3]
    api = instance.api
    registry.lock(WRITTEN, register=True)
    api.wait_until_parsed(DAG_ID)
    api.unpause(DAG_ID)
    run_id = api.trigger_run(DAG_ID)

    def states() -> Counter[str]:
        return Counter(task["state"] for task in api.task_instances(DAG_ID, run_id))

    beginning = time.monotonic()
    wait_for_airflow(lambda: states()["deferred"] == 100, what="100 to wait", timeout=300, detail=states)
    until_deferred = time.monotonic() - beginning
    # Deferred is what the scheduler says. They wait when the triggerer has asked the registry for each.
    wait_for_airflow(lambda: waiting_in(instance, run_id) == 100, what="100 to have asked", timeout=300)
    until_waiting = time.monotonic() - beginning
    unlocked_at = datetime.now(UTC)
    registry.unlock(WRITTEN)
    wait_for_airflow(
        lambda: states().keys() <= {"success", "failed"}, what="100 to end", timeout=300, detail=states
    )

    tasks = api.task_instances(DAG_ID, run_id)
    assert states() == {"success": 100}
    assert {task["try_number"] for task in tasks} <= {0, 1}
    ends = sorted(datetime.fromisoformat(task["end_date"]) - unlocked_at for task in tasks)
    figures = f"first {ends[0].total_seconds():.1f} s, last {ends[-1].total_seconds():.1f} s after the unlock"
    record_property("hundred_sensors", figures)
    with capsys.disabled():
        print(
            f"\n100 sensors: deferred in {until_deferred:.1f} s, waiting in {until_waiting:.1f} s; {figures}"
        )


def waiting_in(instance: AirflowInstance, run_id: str) -> int:
    """How many sensors of the run have said in their log what they wait for."""
    logs = instance.logs_folder.glob(f"dag_id={DAG_ID}/run_id={run_id}/*/*.trigger.*")
    return sum("Not ready" in log.read_text() for log in logs)
