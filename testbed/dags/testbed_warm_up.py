"""One trivial task, to run before anything is timed: the first task of an instance takes seconds more."""

from __future__ import annotations

import datetime

try:
    from airflow.sdk import DAG, task
except ImportError:  # 2.11
    from airflow import DAG
    from airflow.decorators import task

with DAG("testbed_warm_up", schedule=None, start_date=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)):

    @task
    def warm_up() -> str:
        return "warm"

    warm_up()
