"""Report on each day of sales that another Airflow has published: a run for each day, without any sensor.

Needs Airflow 3.3, or 3.2 without exactly-once.
"""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher, PartitionedAssetTimetable, task

from airflow_provider_partition_registry import PartitionEventTrigger

sales = Asset(
    "shop.sales",
    watchers=[AssetWatcher("days", trigger=PartitionEventTrigger("shop.sales", became_ready="day"))],
)

with DAG(
    dag_id="example_event_driven",
    schedule=PartitionedAssetTimetable(assets=sales),
    catchup=False,
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def report(dag_run=None) -> None:
        """Build the report of the day that the run's partition key names."""
        print(f"Sales of {dag_run.partition_key} are ready.")

    report()
