"""What people do to runs and tasks in Airflow's user interface, by the requests that its buttons send.

On 3.x the interface is a client of the public API. On 2.11 its buttons send forms to views of their own; only what has
no button there, or one that does the same as the API, goes through the API.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import quote

from testbed.http_json import post_form

if TYPE_CHECKING:
    from testbed.airflow_api import AirflowApi


class Hands(ABC):
    """The hands of a person in front of one instance's user interface.

    States are ``success`` or ``failed``. A map index of ``None`` means all instances of a mapped task.
    """

    def __init__(self, api: AirflowApi) -> None:
        self._api = api

    @abstractmethod
    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Say that a run has ended."""

    @abstractmethod
    def mark_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str,
        *,
        map_index: int | None = None,
        downstream: bool = False,
    ) -> None:
        """Say that a task has ended, with ``downstream`` all that follow it too."""

    @abstractmethod
    def clear_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *,
        map_index: int | None = None,
        downstream: bool = True,
    ) -> None:
        """Make a task run again, and what follows it, as both interfaces suggest, or this one only."""

    @abstractmethod
    def clear_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        """Make the tasks of a run run again."""

    def delete_run(self, dag_id: str, run_id: str) -> None:
        self._api.call("DELETE", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")

    def delete_dag(self, dag_id: str) -> None:
        """Delete all that Airflow remembers of a DAG. Its file stays, so it soon comes back without its runs."""
        self._api.call("DELETE", f"/dags/{dag_id}")


class Hands2(Hands):
    """On 2.11, where views take forms. This testbed's instances ask for neither a session nor a CSRF token."""

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._press(f"dagrun_{state}", dag_id, dag_run_id=run_id)

    def mark_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str,
        *,
        map_index: int | None = None,
        downstream: bool = False,
    ) -> None:
        self._press(
            state,
            dag_id,
            dag_run_id=run_id,
            task_id=task_id,
            downstream=_form_value(downstream),
            **_map_index_field(map_index),
        )

    def clear_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *,
        map_index: int | None = None,
        downstream: bool = True,
    ) -> None:
        run = self._api.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")
        self._press(
            "clear",
            dag_id,
            dag_run_id=run_id,
            task_id=task_id,
            execution_date=run["logical_date"],
            downstream=_form_value(downstream),
            recursive="true",
            **_map_index_field(map_index),
        )

    def clear_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        self._press("dagrun_clear", dag_id, dag_run_id=run_id, only_failed=_form_value(only_failed))

    def _press(self, view: str, dag_id: str, **fields: object) -> None:
        base_url = self._api.base_url
        # The views that answer with a redirect send the browser back to where the button was: here to a small page.
        fixed = {"dag_id": dag_id, "confirmed": "true", "origin": f"{base_url}/health"}
        post_form(f"{base_url}/{view}", fixed | fields)


class Hands3(Hands):
    """On 3.x, where the interface uses the public API."""

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._api.call("PATCH", f"/dags/{dag_id}/dagRuns/{quote(run_id)}", {"state": state})

    def mark_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str,
        *,
        map_index: int | None = None,
        downstream: bool = False,
    ) -> None:
        task = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
        path = task if map_index is None else f"{task}/{map_index}"
        self._api.call("PATCH", path, {"new_state": state, "include_downstream": downstream})

    def clear_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *,
        map_index: int | None = None,
        downstream: bool = True,
    ) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id if map_index is None else [task_id, map_index]],
            "include_downstream": downstream,
            "only_failed": False,
        }
        self._api.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def clear_run(self, dag_id: str, run_id: str, *, only_failed: bool = False) -> None:
        body = {"dry_run": False, "only_failed": only_failed}
        self._api.call("POST", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/clear", body)


def _form_value(flag: bool) -> str:
    return "true" if flag else "false"


def _map_index_field(map_index: int | None) -> dict[str, int]:
    return {} if map_index is None else {"map_index": map_index}
