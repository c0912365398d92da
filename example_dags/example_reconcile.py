"""End the locks that no task will end.

Airflow tells nobody when a DAG or a run is deleted, or when a task is killed right after it took a lock; and a run may
end while the registry is down. The locks of such runs say "is being written" until somebody looks. This does, every
quarter of an hour, for all DAGs of this Airflow. One such DAG per Airflow and registry is enough.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_partition_registry.operators.reconciliation import PartitionReconcileOperator

with DAG(
    dag_id="example_reconcile",
    schedule=timedelta(minutes=15),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    PartitionReconcileOperator(task_id="reconcile", retries=2, retry_delay=timedelta(minutes=1))
