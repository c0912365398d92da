"""Code that writes a partition as in a task: with a task's context, but without Airflow around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import task

from tests.airflow.runs import NewDag
from tests.airflow.versions import IS_AIRFLOW_3


@contextmanager
def in_task(of_task: Any = None, **context: Any) -> Iterator[None]:
    """Run the block as the code of a task."""
    if IS_AIRFLOW_3:
        from airflow.sdk.execution_time.context import set_current_context
    else:
        from airflow.models.taskinstance import set_current_context
    ti = SimpleNamespace(
        dag_id="a_dag", run_id="a_run", task_id="a_task", map_index=-1, try_number=1, log_url="", task=of_task
    )
    with set_current_context({"ti": ti, "task": of_task, "params": {}, **context}):
        yield


@pytest.fixture
def as_task() -> Iterator[None]:
    """Runs the test as the code of a task."""
    with in_task():
        yield


@pytest.fixture
def call_task(new_dag: NewDag) -> Callable[..., Any]:
    """Calls a decorated function as its task does."""

    def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with new_dag():
            operator = task(function)(*args, **kwargs).operator
        with in_task(operator, params={"day": "2026-11-01"}):
            return operator.python_callable(*args, **kwargs)

    return call
