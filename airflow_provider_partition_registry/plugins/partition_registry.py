"""The plugin: a listener to events of runs and tasks, and pages in Airflow's navigation.

Every Airflow process loads this module, and Airflow calls the listener in the middle of its own loops, requests and
transactions. So it imports only what is loaded anyway, makes no calls that could block, and never raises. The pages are
made where Airflow asks for them, which is its web server alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

from airflow_provider_partition_registry.runtime.compat import (
    AIRFLOW_VERSION,
    HAS_ASSET_STATE,
    IS_AIRFLOW_3,
    AirflowPlugin,
    hookimpl,
)

_log = logging.getLogger(__name__)

BY_HAND = "manually set"
"""Part of the message of Airflow 3's API server about a run whose state a person sets."""


class RegistryListener:
    """Is notified of runs that begin and end, and of tasks that a person marks as success."""

    @hookimpl
    def on_dag_run_running(self, dag_run: Any, msg: str) -> None:
        """Called in the scheduler."""
        _without_harm(_note_running, dag_run)

    @hookimpl
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        """Called in the scheduler, and in Airflow 3's API server when a person sets the state."""
        _without_harm(_end_locks_of, dag_run, msg)
        if BY_HAND in (msg or ""):
            _without_harm(_withdraw_marks, dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        """Called in the same places as for success."""
        _without_harm(_end_locks_of, dag_run, msg)

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Called in the process that executes the task, before the task's own code."""
        _without_harm(_guard, task_instance)

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Called in the worker, or without a previous state in Airflow 3's API server, when a person sets the state."""
        if previous_state is None:
            _without_harm(_record_mark, task_instance)

    if HAS_ASSET_STATE:

        @hookimpl
        def on_asset_event_emitted(self, asset_event: Any) -> None:
            """Called in the triggerer's supervisor, in the transaction that stores the asset's event."""
            _without_harm(_deliver, asset_event)


class MadeWhenAsked:
    """A list in the plugin that is made when somebody asks for it, at most once.

    :param make: makes it. If that fails, Airflow goes on without.
    """

    def __init__(self, make: Callable[[], list[Any]]) -> None:
        self._make = make

    def __get__(self, plugin: Any, kind: Any = None) -> list[Any]:
        return self._made

    @cached_property
    def _made(self) -> list[Any]:
        try:
            return self._make()
        except Exception:
            _log.warning("The partition registry's pages cannot be shown in this Airflow.", exc_info=True)
            return []


def _fastapi_apps() -> list[Any]:
    from airflow_provider_partition_registry.plugins.pages_in_airflow_3 import fastapi_apps

    return fastapi_apps()


def _external_views() -> list[Any]:
    from airflow_provider_partition_registry.runtime.addresses import ROUTE, home

    place = {"destination": "nav", "category": "browse", "url_route": ROUTE}
    return [{"name": "Partition Registry", "href": f"{home()}/", **place}]


def _flask_blueprints() -> list[Any]:
    from airflow_provider_partition_registry.plugins.pages_in_airflow_2 import flask_blueprints

    return flask_blueprints()


class PartitionRegistryPlugin(AirflowPlugin):
    """Registered by the entry point group ``airflow.plugins``."""

    name = "partition_registry"
    listeners = [RegistryListener()]  # noqa: RUF012 - as Airflow declares it
    if AIRFLOW_VERSION >= (3, 1):
        fastapi_apps = MadeWhenAsked(_fastapi_apps)
        external_views = MadeWhenAsked(_external_views)
    elif not IS_AIRFLOW_3:
        flask_blueprints = MadeWhenAsked(_flask_blueprints)
        appbuilder_menu_items = [
            {"name": "Partition Registry", "category": "Browse", "href": "partition_registry.serve"}
        ]


def _guard(task_instance: Any) -> None:
    from airflow_provider_partition_registry.proof.hooks import guard_in_process

    guard_in_process(task_instance.task)


def _note_running(dag_run: Any) -> None:
    from airflow_provider_partition_registry.plugins.running_runs import running_runs

    running_runs.add(dag_run)


def _end_locks_of(dag_run: Any, msg: str) -> None:
    from airflow_provider_partition_registry.plugins.ended_runs import ended_runs
    from airflow_provider_partition_registry.plugins.running_runs import running_runs

    running_runs.forget(dag_run)
    ended_runs.add(dag_run, msg)


def _withdraw_marks(dag_run: Any) -> None:
    from airflow_provider_partition_registry.runtime.marks import withdraw_marks

    withdraw_marks(dag_run)


def _deliver(asset_event: Any) -> None:
    from airflow_provider_partition_registry.plugins.asset_events import deliver

    deliver(asset_event)


def _record_mark(task_instance: Any) -> None:
    from airflow_provider_partition_registry.runtime.marks import record_mark

    record_mark(task_instance)


def _without_harm(action: Callable[..., None], *arguments: Any) -> None:
    try:
        action(*arguments)
    except Exception:  # Airflow's loop or request must go on, whatever happens
        _log.warning("The partition registry's listener failed at %s.", action.__name__, exc_info=True)
