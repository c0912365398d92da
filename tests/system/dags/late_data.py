"""A day that does not come: people get letters while the sensor waits (Airflow 3), and when it has given up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

from airflow_provider_partition_registry.notifications.partition_registry import (
    PartitionLockHeldNotifier,
    PartitionNotReadyNotifier,
)
from airflow_provider_partition_registry.sensors.partition_registry import PartitionReadinessSensor

LETTER = {
    "from_email": "airflow@example.com",
    "to": "team@example.com",
    "html_content": "<pre>{{ explanation | e }}</pre>",
}
SOURCE = {"source_name": "system.late", "grain": "day"}


def deadlines() -> dict[str, Any]:
    """One for each way in which Airflow calls back: in the triggerer, and in an executor."""
    try:
        from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback
    except ImportError:
        return {}

    def soon(callback: Any) -> Any:
        return DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(seconds=2), callback=callback
        )

    def by_mail(name: str) -> dict[str, Any]:
        arguments = LETTER | {"subject": "{{ dag_run.conf.day }} " + name}
        return {"path": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "kwargs": arguments}

    day = SOURCE | {"start": "{{ dag_run.conf.day }}"}
    held = {"source_name": "system.late", "longer_than": timedelta(seconds=1)}
    return {
        "deadline": [
            soon(
                AsyncCallback(PartitionNotReadyNotifier, kwargs=day | {"tell": by_mail("in the triggerer")})
            ),
            soon(SyncCallback(PartitionNotReadyNotifier, kwargs=day | {"tell": by_mail("in an executor")})),
            soon(AsyncCallback(PartitionLockHeldNotifier, kwargs=held | {"tell": by_mail("locks")})),
        ]
    }


def letter(name: str) -> PartitionNotReadyNotifier:
    subject = "{{ params.day }} " + name
    return PartitionNotReadyNotifier(tell=SmtpNotifier(subject=subject, **LETTER), **day)


day = SOURCE | {"start": "{{ params.day }}"}

with DAG(
    dag_id="late_data",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    params={"day": "2026-11-01"},
    on_failure_callback=letter("run failed"),
    **deadlines(),
) as dag:
    PartitionReadinessSensor(
        task_id="wait", deferrable=True, timeout=20, on_failure_callback=letter("task gave up"), **day
    )
