"""A small REST client of Airflow: the same methods for 2.11 (``/api/v1``) and 3.x (``/api/v2``)."""

from __future__ import annotations

import ast
import base64
import datetime
import http.client
import urllib.parse
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from testbed.http_json import ApiError, Json, request_json
from testbed.processes import TestbedError, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

# Each look costs the server tens of milliseconds of CPU, which the tasks that are waited for could use.
SECONDS_BETWEEN_LOOKS = 0.5

FINISHED_RUN = frozenset({"success", "failed"})

LOG_FIELDS_ALWAYS_SHOWN = frozenset({"timestamp", "level", "event"})
LOG_FIELDS_NEVER_SHOWN = frozenset(
    {"logger", "filename", "lineno", "ti_id", "dag_id", "run_id", "task_id", "map_index", "try_number"}
)


def wait_for_airflow(
    condition: Callable[[], object], *, what: str, timeout: float, detail: Callable[[], object] | None = None
) -> None:
    """Wait until a condition holds that is looked up in Airflow's API, see :func:`~testbed.processes.wait_until`."""
    wait_until(condition, what=what, timeout=timeout, interval=SECONDS_BETWEEN_LOOKS, detail=detail)


class AirflowApi(ABC):
    """What tests ask of a running instance; subclasses know where the versions differ."""

    path = ""
    health_path = "/health"

    def __init__(self, base_url: str, user: str | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self.user = user

    # DAGs and runs

    def wait_until_parsed(
        self, dag_id: str, timeout: float = 60, *, since: datetime.datetime | None = None
    ) -> None:
        """Wait until Airflow knows the DAG; with ``since``, as its file is after that instant."""

        def is_parsed() -> bool:
            dag = self._get_or_none(f"/dags/{dag_id}")
            if dag is None:
                return False
            return since is None or datetime.datetime.fromisoformat(dag["last_parsed_time"]) > since

        what = f"the DAG {dag_id} to be parsed"
        wait_for_airflow(is_parsed, what=what, timeout=timeout, detail=self.import_errors)

    def import_errors(self) -> str:
        errors = self.call("GET", "/importErrors")["import_errors"]
        return (
            "\n".join(f"{error['filename']}:\n{error['stack_trace']}" for error in errors)
            or "no import errors"
        )

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})

    def pause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": True})

    def trigger_run(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None = None,
        logical_date: datetime.datetime | None = None,
        run_id: str | None = None,
        **fields: Json,
    ) -> str:
        """Start a run, and return its id.

        :param fields: more of what the version's API accepts, such as ``partition_key``
        """
        # With an id of our own the request can safely be repeated if an answer was lost.
        run_id = run_id or f"testbed__{uuid.uuid4().hex[:12]}"
        body = {"dag_run_id": run_id, "conf": dict(conf or {}), **self._logical_date(logical_date), **fields}
        try:
            self.call("POST", f"/dags/{dag_id}/dagRuns", body)
        except ApiError as error:
            if error.status != http.client.CONFLICT or self._get_or_none(_run(dag_id, run_id)) is None:
                raise
        return run_id

    def has_run(self, dag_id: str, run_id: str) -> bool:
        """Whether Airflow remembers the run."""
        return self._get_or_none(_run(dag_id, run_id)) is not None

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.call("GET", _run(dag_id, run_id))["state"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 120) -> str:
        """Wait until the run has ended; ``success`` or ``failed``."""
        state = ""

        def has_finished() -> bool:
            nonlocal state
            state = self.run_state(dag_id, run_id)
            return state in FINISHED_RUN

        what = f"the run {run_id} of {dag_id}"
        wait_for_airflow(has_finished, what=what, timeout=timeout, detail=self._states(dag_id, run_id))
        return state

    # Tasks

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Json]]:
        """A run's task instances: ``task_id``, ``map_index``, ``state``, ``start_date``, ``try_number`` and more."""
        return list(self._all_pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances"))

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, Json]:
        for instance in self.task_instances(dag_id, run_id):
            if (instance["task_id"], instance["map_index"]) == (task_id, map_index):
                return instance
        raise TestbedError(f"no task {task_id}[{map_index}] in the run {run_id} of {dag_id}")

    def wait_for_task_state(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: str | Collection[str],
        timeout: float = 60,
        map_index: int = -1,
    ) -> dict[str, Json]:
        """Wait until the task is in one of these states, and return the task instance."""
        wanted = {state} if isinstance(state, str) else set(state)
        instance: dict[str, Json] = {}

        def is_there() -> bool:
            nonlocal instance
            instance = self.task_instance(dag_id, run_id, task_id, map_index)
            return instance["state"] in wanted

        what = f"{task_id} of {dag_id} {run_id} to be {' or '.join(sorted(wanted))}"
        wait_for_airflow(is_there, what=what, timeout=timeout, detail=self._states(dag_id, run_id))
        return instance

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """One try's log as plain text."""
        query = urllib.parse.urlencode({"full_content": "true", "map_index": map_index})
        log = self.call("GET", f"{_run(dag_id, run_id)}/taskInstances/{task_id}/logs/{try_number}?{query}")
        return self._log_text(log["content"])

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1
    ) -> Json:
        """The value as the API shows it, which may differ from what a downstream task sees."""
        query = urllib.parse.urlencode({"map_index": map_index, "stringify": "false"})
        entry = f"{_run(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/{urllib.parse.quote(key)}"
        return self.call("GET", f"{entry}?{query}")["value"]

    def clear_task(
        self, dag_id: str, run_id: str, task_id: str, *, downstream: bool = True, only_failed: bool = False
    ) -> list[str]:
        """Make a task run again, and return the ids of all tasks that will."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": downstream,
            "only_failed": only_failed,
            "reset_dag_runs": True,
        }
        cleared = self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)["task_instances"]
        return [instance["task_id"] for instance in cleared]

    # Connections

    def set_connection(self, connection_id: str, **fields: Json) -> None:
        """Create or change a connection: ``conn_type``, ``host``, ``login``, ``password``, ``extra`` (JSON) ..."""
        body = {"connection_id": connection_id, **fields}
        if self._get_or_none(f"/connections/{connection_id}") is None:
            self.call("POST", "/connections", body)
        else:
            self.call("PATCH", f"/connections/{connection_id}", body)

    def connection(self, connection_id: str) -> dict[str, Json]:
        return dict(self.call("GET", f"/connections/{connection_id}"))

    def test_connection(self, connection_id: str, **fields: Json) -> tuple[bool, str]:
        """The result of the hook's own test, run in Airflow's server."""
        answer = self.call("POST", "/connections/test", {"connection_id": connection_id, **fields})
        return answer["status"], answer["message"]

    # Health

    def heartbeats(self) -> dict[str, datetime.datetime]:
        """When each healthy component last sent a heartbeat; the database has none and counts as now."""
        health = request_json("GET", self.base_url + self.path + self.health_path, attempts=1)
        return {
            part: datetime.datetime.fromisoformat(
                status.get(f"latest_{part}_heartbeat") or datetime.datetime.now(datetime.UTC).isoformat()
            )
            for part, status in health.items()
            if status and status["status"] == "healthy"
        }

    # How requests are made

    def call(self, method: str, path: str, body: Json = None) -> Json:
        """Send one request to the versioned API, for whatever has no method here."""
        return request_json(method, self.base_url + self.path + path, body, headers=self._credentials())

    def _get_or_none(self, path: str) -> Json | None:
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def _all_pages(self, path: str, key: str) -> Iterator[dict[str, Json]]:
        offset = 0
        ask = f"{path}{'&' if '?' in path else '?'}limit=100"
        while page := self.call("GET", f"{ask}&offset={offset}")[key]:
            yield from page
            offset += len(page)
            if len(page) < 100:
                break

    def _states(self, dag_id: str, run_id: str) -> Callable[[], str]:
        def describe() -> str:
            instances = self.task_instances(dag_id, run_id)
            states = (f"{one['task_id']}[{one['map_index']}]={one['state']}" for one in instances)
            return f"tasks of the run: {', '.join(states)}"

        return describe

    def _credentials(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def _logical_date(self, logical_date: datetime.datetime | None) -> dict[str, Json]:
        """The part about its date in the body of a request that starts a run."""

    @abstractmethod
    def _log_text(self, content: Json) -> str:
        """One try's log as plain text, from the content of the API's answer."""


class Airflow2Api(AirflowApi):
    path = "/api/v1"

    def _credentials(self) -> dict[str, str]:
        if self.user is None:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(f'{self.user}:{self.user}'.encode()).decode()}"}

    def _logical_date(self, logical_date: datetime.datetime | None) -> dict[str, Json]:
        return {} if logical_date is None else {"logical_date": logical_date.isoformat()}

    def _log_text(self, content: Json) -> str:
        # The text of a Python list of (host, text) pairs.
        return "\n".join(text for _host, text in ast.literal_eval(content))


class Airflow3Api(AirflowApi):
    path = "/api/v2"
    health_path = "/monitor/health"
    _token: str | None = None

    def _credentials(self) -> dict[str, str]:
        if self._token is None:
            self._token = self.token_of(self.user)
        return {"Authorization": f"Bearer {self._token}"}

    def token_of(self, user: str | None) -> str:
        """A token of the simple auth manager; of everybody's if there are no users."""
        address = f"{self.base_url}/auth/token"
        if user is None:
            return str(request_json("GET", address)["access_token"])
        return str(request_json("POST", address, {"username": user, "password": user})["access_token"])

    def _logical_date(self, logical_date: datetime.datetime | None) -> dict[str, Json]:
        return {"logical_date": logical_date}

    def _log_text(self, content: Json) -> str:
        return "\n".join(line if isinstance(line, str) else _log_line(line) for line in content)


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}"


def _log_line(entry: Mapping[str, Json]) -> str:
    parts = [entry.get("timestamp"), entry.get("level"), entry.get("event")]
    hidden = LOG_FIELDS_ALWAYS_SHOWN | LOG_FIELDS_NEVER_SHOWN
    details = {key: value for key, value in entry.items() if key not in hidden}
    return " ".join(str(part) for part in parts if part) + (f" {details}" if details else "")
