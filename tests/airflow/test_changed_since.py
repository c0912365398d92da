"""The hook tells from a sensor's result whether anything was rewritten since (R7)."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, publish
from tests.airflow.runs import NewDag, RunDag


def test_takes_the_result_of_a_sensor(registry: RegistryStore, new_dag: NewDag, run_dag: RunDag) -> None:
    publish(registry, "clicks")
    publish(registry)
    with new_dag() as dag:
        PartitionReadinessSensor(task_id="wait", **DAY)
    one = run_dag(dag).results["wait"]
    hook = PartitionRegistryHook()
    assert not hook.changed_since(one)
    assert not hook.changed_since([one, one | {"source_name": "clicks"}])
    assert not hook.changed_since("sales", one["start"], one["end"], one["as_of"])

    publish(registry)

    assert hook.changed_since(one)
    assert hook.changed_since([one | {"source_name": "clicks"}, [one]])
    assert hook.changed_since("sales", one["start"], one["end"], one["as_of"])


def test_half_a_question_is_refused(registry: RegistryStore) -> None:
    with pytest.raises(InvalidInputError, match="An answer has"):
        PartitionRegistryHook().changed_since("sales")
