"""The writer: load a day of orders into the warehouse, under the lock of its partition.

Lock and publish are setup and teardown. If the load fails, the day becomes failed and readers go on waiting.
Clearing the failed task clears these two as well, so that the repair locks and publishes again by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator,
    PartitionUnlockOperator,
)

DAY = {"source_name": "{{ params.source }}", "start": "{{ params.day }}", "grain": "day"}
END = "END\n"


def lines_as_they_arrive(delivery: Path) -> Iterator[str]:
    """The lines of a file that is still being written, up to the one that ends it."""
    with delivery.open() as file:
        while (line := complete_line(file)) != END:
            yield line


def complete_line(file: TextIO) -> str:
    """The next line, as soon as all of it is there."""
    line = file.readline()
    while not line.endswith("\n"):
        time.sleep(0.1)
        line += file.readline()
    return line


with DAG(
    dag_id="load_orders",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"source": "shop.orders", "day": "2026-11-01", "folder": "/data/shop"},
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:
    lock = PartitionLockOperator(task_id="lock", **DAY)
    publish = PartitionUnlockOperator(task_id="publish", **DAY)

    @task(execution_timeout=timedelta(minutes=5))
    def load(params: dict[str, str] | None = None) -> int:
        """Copy the orders of the day as the shop delivers them; how many there were."""
        folder, file_name = Path(params["folder"]), f"{params['day']}.csv"
        rows = 0
        with (folder / "warehouse" / file_name).open("w", buffering=1) as table:
            for line in lines_as_they_arrive(folder / "deliveries" / file_name):
                order, cents = line.strip().split(",")
                table.write(f"{order},{int(cents)}\n")
                rows += 1
        print(f"{rows} orders of {params['day']} loaded")
        return rows

    with publish.as_teardown(setups=lock.as_setup()):
        load()
