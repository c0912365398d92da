"""A check of what was read, between a lock and its unlock (R12)."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import task

from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.operators.reading import PartitionUnchangedOperator
from airflow_provider_partition_registry.proof.graph import work_of
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock
from tests.airflow.registries import DAY, publish, the_partition
from tests.airflow.runs import NewDag, RunDag
from tests.airflow.tasks import a_pair, write


@pytest.mark.parametrize("as_group", [True, False])
def test_what_was_made_of_rewritten_data_is_not_published(
    as_group: bool, registry: RegistryStore, new_dag: NewDag, run_dag: RunDag
) -> None:
    publish(registry, "clicks")
    with new_dag() as dag:
        wait = PartitionReadinessSensor(task_id="wait", **DAY | {"source_name": "clicks"})

        @task
        def make() -> None:
            publish(registry, "clicks")

        if as_group:
            with partition_lock("made", **DAY) as group:
                make() >> PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
            wait >> group
        else:
            lock, unlock = a_pair()
            unlock.as_teardown(setups=lock)
            check = PartitionUnchangedOperator(task_id="unchanged", answers=wait.output)
            wait >> lock >> make() >> check >> unlock
    run = run_dag(dag)
    assert run.state == "failed"
    assert the_partition(registry).state is PartitionState.FAILED
    assert "unchanged failed" in the_partition(registry).reason


@pytest.mark.parametrize(("is_awaited", "work"), [(True, {"write", "unchanged"}), (False, {"write"})])
def test_it_is_work_if_the_unlock_waits_for_it(is_awaited: bool, work: set[str], new_dag: NewDag) -> None:
    with new_dag():
        lock, unlock = a_pair()
        written = write()
        unchanged = PartitionUnchangedOperator(task_id="unchanged", answers={})
        lock >> written >> [unchanged, unlock]
        if is_awaited:
            unchanged >> unlock
    assert work_of(unlock, lock) == work
