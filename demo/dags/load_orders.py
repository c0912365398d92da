"""The writer: loads a day of orders into the warehouse, under the lock of its partition.

The group locks the day and publishes it when the load is proved. If the load fails, or is stopped, the day becomes
failed and readers go on waiting. A cleared load locks again before it writes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

DAY = {"source_name": "{{ params.source }}", "start": "{{ params.day }}", "grain": "day"}
END = "END\n"


def lines_as_they_arrive(delivery: Path) -> Iterator[str]:
    """The lines of a file that is still being written, up to the line that ends it."""
    with delivery.open() as file:
        while (line := complete_line(file)) != END:
            yield line


def complete_line(file: TextIO) -> str:
    """The next line, as soon as it is complete."""
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

    @task(execution_timeout=timedelta(minutes=5))
    def load(params: dict[str, str] | None = None) -> int:
        """Copy the day's orders as the shop delivers them; returns how many there were."""
        folder, day = Path(params["folder"]), params["day"]
        (folder / "warehouse" / f"{day}.pid").write_text(str(os.getpid()))
        newest_delivery = max((folder / "deliveries").glob(f"{day}.*.csv"))
        rows = 0
        with (folder / "warehouse" / f"{day}.csv").open("w", buffering=1) as table:
            for line in lines_as_they_arrive(newest_delivery):
                order, cents = line.strip().split(",")
                table.write(f"{order},{int(cents)}\n")
                rows += 1
        print(f"{rows} orders of {params['day']} loaded")
        return rows

    with partition_lock("orders", prefix_group_id=False, **DAY):
        load()
