"""Runs a DAG that writes and reads, where OpenLineage's provider listens; ``test_openlineage`` reads what it was told.

``python -m tests.airflow.lineage_dag`` in the environment of the tests' Airflow home.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task

from airflow_provider_partition_registry import (
    PartitionLockOperator,
    PartitionReadinessSensor,
    PartitionReadinessShortCircuitOperator,
    PartitionUnlockOperator,
    PartitionWrite,
    partition_lock,
    source_asset,
    writes_partition,
)
from tests.airflow.registries import DAY
from tests.airflow.running import START, store_dag

CLICKS = {**DAY, "source_name": "clicks"}

with DAG("lineage", schedule=None, start_date=START) as dag:
    with partition_lock("write", source_name="sales", start="2026-11-01", grain="day", split="hour") as group:

        @task
        def load() -> None: ...

        load()

    @task
    @writes_partition(**CLICKS)
    def click(write: PartitionWrite) -> None: ...

    wait = PartitionReadinessSensor(
        task_id="wait",
        requires=["sales", "clicks", {"source_name": "clicks", "end": "2026-11-01T12:00"}],
        start="2026-11-01",
        end="2026-11-02",
        poke_interval=0.1,
        timeout=60,
    )

    @task(inlets=[source_asset("clicks"), source_asset("sales", extra={"uri": "gs://by-hand/sales"})])
    def read() -> None: ...

    @task
    @writes_partition(**CLICKS, provider_name="other")
    def skip_clicks() -> None:
        raise AirflowSkipException("nothing new")

    @task(trigger_rule="all_done")
    def begin() -> None: ...

    # Here all tasks share a process, and so what Airflow has collected of those before them.
    [read(), skip_clicks()] >> begin() >> [group, click()] >> wait

    ask = PartitionReadinessShortCircuitOperator(task_id="ask", **DAY)
    wait >> PartitionReadinessShortCircuitOperator(task_id="ask_in_vain", **{**CLICKS, "end": "2026-11-03"})
    lock = PartitionLockOperator(task_id="lock", provider_name="other", **DAY)

    @task
    def fail() -> None:
        raise ValueError("no data")

    wait >> ask >> lock >> fail() >> PartitionUnlockOperator(task_id="unlock", provider_name="other", **DAY)

if __name__ == "__main__":
    store_dag(dag)
    dag.test()
