"""Ask once whether a day of sales may be read, and go one of two ways; nobody waits."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.reading import PartitionReadinessBranchOperator

with DAG(
    dag_id="example_ask_once",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    is_ready = PartitionReadinessBranchOperator(
        task_id="is_ready",
        source_name="shop.sales",
        start="{{ params.day }}",
        grain="day",
        follow_task_ids_if_ready="report",
        follow_task_ids_if_not_ready="report_without_sales",
    )

    @task
    def report(answer: dict) -> None:
        """Build the report; the answer is the same that a sensor gives."""
        print(f"{answer['source_name']} is ready from {answer['start']} to {answer['end']}")

    @task
    def report_without_sales(explanation: str) -> None:
        """Build the report without sales, and say why they are missing."""
        print(explanation)

    is_ready >> [report(is_ready.output["answers"]), report_without_sales(is_ready.output["explanation"])]
