"""Tell people every hour which locks have been held for longer than six hours, by whom and since when.

A lock that is held for long keeps readers waiting: its writer is slow or waits for a retry, or nobody ends it any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, get_current_context, task

from airflow_provider_partition_registry.notifications.partition_registry import PartitionLockHeldNotifier


def tell_whoever_is_on_duty(context: Any) -> None:
    """Stands for whatever you tell people with."""
    print(f"To whoever is on duty: {context['explanation']}")


with DAG(
    dag_id="example_held_locks",
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    tags=["partition-registry"],
    doc_md=__doc__,
) as dag:

    @task
    def look() -> None:
        """A notifier can be called anywhere."""
        notify = PartitionLockHeldNotifier(longer_than=timedelta(hours=6), tell=tell_whoever_is_on_duty)
        notify(get_current_context())

    look()
