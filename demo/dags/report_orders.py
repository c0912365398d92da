"""The reader: reports a day of orders as soon as all of it may be read, and not before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

with DAG(
    dag_id="report_orders",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"source": "shop.orders", "day": "2026-11-01", "folder": "/data/shop"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    wait = PartitionReadinessSensor(
        task_id="wait",
        source_name="{{ params.source }}",
        start="{{ params.day }}",
        grain="day",
        deferrable=True,
        poke_interval=1,
        timeout=600,
    )

    @task
    def report(params: dict[str, str] | None = None) -> dict[str, int]:
        """Count and add up what the warehouse holds."""
        folder, day = Path(params["folder"]), params["day"]
        table = (folder / "warehouse" / f"{day}.csv").read_text()
        cents = [int(line.split(",")[1]) for line in table.splitlines()]
        summary = {"rows": len(cents), "cents": sum(cents)}
        (folder / "reports" / f"{day}.json").write_text(json.dumps(summary))
        print(f"{day}: {summary}")
        return summary

    wait >> report()
