"""The example DAGs, run by real instances of both versions against one registry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

RUN_TIMEOUT = 400.0
VERSIONS = (2, 3)
# Both versions write into the same sources, each its own day.
DAYS = {2: Interval("2026-11-02", "2026-11-03"), 3: Interval("2026-11-03", "2026-11-04")}
SOURCES = {
    "example_producer": "shop.sales",
    "example_consumer": "shop.sales",
    "example_careful_reader": "shop.sales",
    "example_setup_teardown": "shop.stock",
    "example_several_providers": "shop.visits",
    "example_hourly_into_daily": "shop.clicks",
    "example_conditions": "shop.estimates",
    "example_writes_partition": "shop.returns",
}

# The others are there before: what counts is that hours make up a day.
HOURS_WRITTEN_BY_THE_EXAMPLE = 6

Runs = Mapping[tuple[int, str], str]


def day_of(version: int) -> str:
    return f"{DAYS[version].start:%Y-%m-%d}"


@pytest.fixture(scope="module")
def example_runs(instances: Mapping[int, AirflowInstance], registry: RegistryStore) -> Runs:
    """A run of every example on every version, all started together; readers before writers."""
    for day in DAYS.values():
        publish_the_other_hours(registry, day)
    runs = {}
    for dag_id in sorted(SOURCES):
        for version, instance in instances.items():
            instance.api.wait_until_parsed(dag_id)
            instance.api.unpause(dag_id)
            conf: dict[str, Any] = {"day": day_of(version)}
            if "hourly" in dag_id:
                conf["hours"] = HOURS_WRITTEN_BY_THE_EXAMPLE
            runs[version, dag_id] = instance.api.trigger_run(dag_id, conf)
    return runs


def publish_the_other_hours(registry: RegistryStore, day: Interval) -> None:
    for number in range(HOURS_WRITTEN_BY_THE_EXAMPLE, 24):
        start = day.start + timedelta(hours=number)
        hour = Interval(start, start + timedelta(hours=1))
        registry.lock(PartitionKey("shop.clicks", "click-loader", hour), register=True)
        registry.unlock(PartitionKey("shop.clicks", "click-loader", hour))


@pytest.mark.parametrize("dag_id", SOURCES)
@pytest.mark.parametrize("version", VERSIONS)
def test_example_succeeds(
    instances: Mapping[int, AirflowInstance],
    registry: RegistryStore,
    example_runs: Runs,
    version: int,
    dag_id: str,
) -> None:
    instance, run_id = instances[version], example_runs[version, dag_id]

    state = instance.api.wait_for_run(dag_id, run_id, RUN_TIMEOUT)

    tasks = instance.api.task_instances(dag_id, run_id)
    assert state == "success", {(task["task_id"], task["map_index"]): task["state"] for task in tasks}
    # A run may succeed although tasks failed, or without any.
    assert {task["state"] for task in tasks} == {"success"}
    assert registry.check_readiness(SOURCES[dag_id], DAYS[version]).is_ready


@pytest.mark.parametrize("version", VERSIONS)
def test_consumer_gets_the_answer_as_its_result(
    instances: Mapping[int, AirflowInstance], example_runs: Runs, version: int
) -> None:
    instance, run_id = instances[version], example_runs[version, "example_consumer"]
    instance.api.wait_for_run("example_consumer", run_id, RUN_TIMEOUT)

    log = instance.api.task_log("example_consumer", run_id, "report")

    assert f"shop.sales is ready from {day_of(version)}T00:00:00Z to " in log


@pytest.mark.parametrize("version", VERSIONS)
def test_a_careful_reader_notices_a_rewrite(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, example_runs: Runs, version: int
) -> None:
    api, run_id = instances[version].api, example_runs[version, "example_careful_reader"]
    dag_id, day = "example_careful_reader", DAYS[version]
    assert api.wait_for_run(dag_id, run_id, RUN_TIMEOUT) == "success"
    key = PartitionKey("shop.sales", "example_producer", day)
    registry.lock(key, holder="the-night-job")
    registry.unlock(key, holder="the-night-job")

    api.clear_task(dag_id, run_id, "unchanged")

    assert api.wait_for_run(dag_id, run_id, RUN_TIMEOUT) == "failed"
    told = api.task_log(dag_id, run_id, "unchanged", try_number=2)
    assert f"{day} of provider 'example_producer' was published by the-night-job" in told
    api.clear_task(dag_id, run_id, "wait_for_sales")
    assert api.wait_for_run(dag_id, run_id, RUN_TIMEOUT) == "success"


@pytest.mark.parametrize("version", VERSIONS)
def test_failed_work_blocks_until_it_is_cleared(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, version: int
) -> None:
    api, day = instances[version].api, DAYS[version]
    api.wait_until_parsed("failing_work")
    api.unpause("failing_work")
    run_id = api.trigger_run("failing_work", {"day": day_of(version)})

    assert api.wait_for_run("failing_work", run_id, RUN_TIMEOUT) == "failed"
    partition = registry.get_partition(PartitionKey("system.failing", "failing-loader", day))
    assert partition.state is PartitionState.FAILED
    assert partition.reason == "Work is not proved: load failed"
    assert not registry.check_readiness("system.failing", day).is_ready

    cleared = api.clear_task("failing_work", run_id, "extract")

    assert set(cleared) == {"lock", "extract", "load", "unlock"}
    api.wait_for_task_state("failing_work", run_id, "unlock", "success", RUN_TIMEOUT)
    assert api.wait_for_run("failing_work", run_id, RUN_TIMEOUT) == "success"
    assert registry.check_readiness("system.failing", day).is_ready
    history = [
        event.type for event in registry.events(source_name="system.failing").items if event.interval == day
    ]
    assert history == [
        EventType.PARTITION_REGISTERED,
        EventType.LOCK,
        EventType.FAIL,
        EventType.LOCK,
        EventType.UNLOCK,
    ]
