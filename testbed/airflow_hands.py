"""What people do to runs and tasks in Airflow's user interface, by the requests that its buttons send.

On 3.x the interface is a client of the public API. On 2.11 its buttons send forms to views of their own; the API is
used only for actions that have no button there, or one that does the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from urllib.parse import quote

from testbed.http_json import post_form

if TYPE_CHECKING:
    from testbed.airflow_api import AirflowApi


class Hands(ABC):
    """A person's actions in one instance's user interface. States are ``success`` or ``failed``."""

    def __init__(self, api: AirflowApi) -> None:
        self._api = api

    @abstractmethod
    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as ended."""

    @abstractmethod
    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as ended."""

    @abstractmethod
    def clear_task(self, dag_id: str, run_id: str, task_id: str, *, downstream: bool) -> None:
        """Make a task run again, either alone or with what follows it, as both interfaces suggest."""

    @abstractmethod
    def clear_run(self, dag_id: str, run_id: str) -> None:
        """Make all tasks of a run run again."""

    def delete_run(self, dag_id: str, run_id: str) -> None:
        self._api.call("DELETE", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")

    def delete_dag(self, dag_id: str) -> None:
        """Delete all that Airflow remembers of a DAG. Its file stays, so it soon comes back without its runs."""
        self._api.call("DELETE", f"/dags/{dag_id}")


class Hands2(Hands):
    """On 2.11, where views take forms. This testbed's instances ask for neither a session nor a CSRF token."""

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._press(f"dagrun_{state}", dag_id, run_id)

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        self._press(state, dag_id, run_id, task_id=task_id)

    def clear_task(self, dag_id: str, run_id: str, task_id: str, *, downstream: bool) -> None:
        run = self._api.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id)}")
        self._press(
            "clear",
            dag_id,
            run_id,
            task_id=task_id,
            execution_date=run["logical_date"],
            downstream="true" if downstream else "false",
            recursive="true",
        )

    def clear_run(self, dag_id: str, run_id: str) -> None:
        # This view does not redirect a browser: only scripts of the pages call it.
        self._press("dagrun_clear", dag_id, run_id, accept="application/json")

    def _press(self, view: str, dag_id: str, run_id: str, accept: str = "text/html", **fields: str) -> None:
        base_url = self._api.base_url
        # Views that redirect send the browser back to where the button was; here that is a small page.
        fixed = {
            "dag_id": dag_id,
            "dag_run_id": run_id,
            "confirmed": "true",
            "origin": f"{base_url}/health",
        }
        post_form(f"{base_url}/{view}", fixed | fields, accept)


class Hands3(Hands):
    """On 3.x, where the interface uses the public API."""

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        self._api.call("PATCH", f"/dags/{dag_id}/dagRuns/{quote(run_id)}", {"state": state})

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}"
        self._api.call("PATCH", path, {"new_state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str, *, downstream: bool) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": downstream,
            "only_failed": False,
        }
        self._api.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def clear_run(self, dag_id: str, run_id: str) -> None:
        body = {"dry_run": False, "only_failed": False}
        self._api.call("POST", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/clear", body)
