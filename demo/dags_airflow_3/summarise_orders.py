"""The reader without a sensor: whenever a day of orders is published, a run starts for it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, PartitionedAssetTimetable, task

from airflow_provider_partition_registry import PartitionEventTrigger

SOURCE, FOLDER = os.environ["DEMO_SOURCE"], Path(os.environ["DEMO_FOLDER"])

orders = Asset(
    SOURCE,
    watchers=[
        AssetWatcher("days", trigger=PartitionEventTrigger(SOURCE, became_ready="day", begin="2026-01-01"))
    ],
)

with DAG(
    dag_id="summarise_orders",
    schedule=PartitionedAssetTimetable(assets=orders),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def summarise(dag_run: Any = None) -> None:
        """Count and add up what the warehouse holds of the day, for this run."""
        day = dag_run.partition_key
        table = (FOLDER / "warehouse" / f"{day}.csv").read_text()
        cents = [int(line.split(",")[1]) for line in table.splitlines()]
        summary = {"day": day, "rows": len(cents), "cents": sum(cents)}
        file = FOLDER / "summaries" / f"{dag_run.run_id.replace('/', '_')}.json"
        file.write_text(json.dumps(summary))
        print(summary)

    summarise()
