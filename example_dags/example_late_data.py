"""Tell people when a day of sales does not come, and why.

The sensor gives up after six hours, and whoever is on duty gets all reasons. On Airflow 3.1 and later the sales team
gets them two hours after the run was queued, while the sensor goes on waiting: that is a deadline alert. What sends
them can be a notifier of any provider, for example SlackNotifier(text="{{ explanation }}").
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_partition_registry.notifications.partition_registry import PartitionNotReadyNotifier
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

of_dag: dict[str, Any] = {}
try:
    from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference
except ImportError:
    pass  # Airflow 2.11 and 3.0 have no deadline alerts
else:
    of_dag["deadline"] = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=2),
        callback=AsyncCallback(
            PartitionNotReadyNotifier,
            # A deadline knows little more than the run, and its arguments are stored as JSON.
            kwargs={
                "source_name": "shop.sales",
                "start": "{{ dag_run.conf.get('day', '2026-11-01') }}",
                "grain": "day",
                "tell": {
                    "path": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
                    "kwargs": {
                        "from_email": "airflow@example.com",
                        "to": "sales-team@example.com",
                        "subject": "{{ dag_run.dag_id }} is still waiting",
                        "html_content": "<pre>{{ explanation | e }}</pre>",
                    },
                },
            },
        ),
    )


def tell_whoever_is_on_duty(context: Any) -> None:
    """Stands for whatever you tell people with."""
    print(f"To whoever is on duty: {context['explanation']}")


sales = {"source_name": "shop.sales", "start": "{{ params.day }}", "grain": "day"}

with DAG(
    dag_id="example_late_data",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    params={"day": "2026-11-01"},
    tags=["partition-registry"],
    doc_md=__doc__,
    **of_dag,
) as dag:
    wait_for_sales = PartitionReadinessSensor(
        task_id="wait_for_sales",
        deferrable=True,
        timeout=6 * 3600,
        on_failure_callback=PartitionNotReadyNotifier(tell=tell_whoever_is_on_duty, **sales),
        **sales,
    )

    @task
    def report(answer: dict) -> None:
        """Build the report."""
        print(f"{answer['source_name']} is ready from {answer['start']} to {answer['end']}")

    report(wait_for_sales.output)
