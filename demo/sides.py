"""The two sides: one Airflow instance each, started in a thread so that they start at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from testbed.airflow import AirflowInstance
from testbed.airflow_api import AirflowApi
from testbed.airflow_settings import installed_version
from testbed.postgres import PostgresServer
from testbed.processes import Child, TestbedError, stop_together

HERE = Path(__file__).parent
DAGS, DAGS_WITHOUT_SENSORS = HERE / "dags", HERE / "dags_airflow_3"
WARM_UP = "demo_warm_up"
WRITER, READER, READER_WITHOUT_SENSOR = "load_orders", "report_orders", "summarise_orders"
# On a machine that is too busy, an Airflow's very first task may fail for that reason alone.
WARM_UPS_AT_MOST = 3
SETTINGS = {
    # Workers of Airflow 3 give up after 5 s on their own server, which needs longer for its first answer.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
}
TIMEOUT = 240.0  # seconds, for whatever an Airflow is asked to do on a busy machine


class Side:
    """One Airflow instance and, if it needs one, the PostgreSQL below it.

    :param programs: the ``bin`` folder of its virtual environment
    :param home: its Airflow home
    :param postgres: for its metadata database; None for SQLite
    :param environment: of all its processes, once the registry is there
    """

    def __init__(self, programs: Path, home_folder: Path, postgres: PostgresServer | None) -> None:
        self.version = installed_version(programs.absolute())
        self.key = f"airflow-{self.version.major}.{self.version.minor}"
        self.name = f"Airflow {self.version.major}.{self.version.minor}"
        self.home = home_folder / self.key
        self.phase = ""
        self.ready_after = 0.0
        self._programs = programs
        self._postgres = postgres
        self._instance: AirflowInstance | None = None

    @property
    def api(self) -> AirflowApi:
        return self.instance.api

    @property
    def instance(self) -> AirflowInstance:
        assert self._instance is not None, "start() comes first"
        return self._instance

    @property
    def components(self) -> Mapping[str, Child]:
        """Its long-running programs, none before it is started."""
        return self._instance.components if self._instance else {}

    @property
    def has_watchers(self) -> bool:
        """Whether runs can be started exactly once by what is published elsewhere."""
        return (self.version.major, self.version.minor) >= (3, 3)

    @property
    def metadata_database(self) -> str:
        return "PostgreSQL" if self._postgres else "SQLite"

    def start(self, environment: Mapping[str, str], warm_up: Mapping[str, str]) -> None:
        """Start everything and run the warm-up DAG; ``phase`` says how far it has come.

        :param environment: of all its processes
        :param warm_up: parameters of the warm-up DAG
        """
        beginning = time.monotonic()
        metadata_url = None
        if self._postgres:
            self.phase = "starting its PostgreSQL"
            self._postgres.start()
            metadata_url = self._postgres.create_database("airflow")
        self._instance = AirflowInstance(
            self._programs,
            name=self.key,
            metadata_url=metadata_url,
            settings=SETTINGS,
            environment=environment,
            home=self.home,
        )
        self._instance.add_dags(DAGS, *([DAGS_WITHOUT_SENSORS] if self.has_watchers else []))
        self.phase = f"creating its metadata database ({self.metadata_database})"
        self._instance.start(timeout=TIMEOUT)
        self.phase = "running its first wait and its first task"
        self._warm_up(warm_up)
        self.phase = "ready"
        self.ready_after = time.monotonic() - beginning

    def describe(self) -> str:
        """How far it has come; the state of components is known only to the instance itself."""
        if self.phase.startswith("creating") and any(child.was_started for child in self.components.values()):
            return f"starting {', '.join(self.components)}"
        return self.phase

    def _warm_up(self, conf: Mapping[str, str]) -> None:
        for dag_id in (WARM_UP, WRITER, READER, *([READER_WITHOUT_SENSOR] if self.has_watchers else [])):
            self.api.wait_until_parsed(dag_id, TIMEOUT)
            self.api.unpause(dag_id)
        for _ in range(WARM_UPS_AT_MOST):
            run_id = self.api.trigger_run(WARM_UP, conf)
            if self.api.wait_for_run(WARM_UP, run_id, TIMEOUT) == "success":
                return
        states = {task["task_id"]: task["state"] for task in self.api.task_instances(WARM_UP, run_id)}
        raise TestbedError(
            f"not even a trivial run of {self.name} succeeds: {states}; see {self.home / 'logs'}"
        )


def stop_sides(*sides: Side) -> bool:
    """Stop all at once; returns whether none had to be killed."""
    return stop_together([child for side in sides for child in side.components.values()])


class Starting(threading.Thread):
    """Runs something slow in a thread of its own, which does not delay the end of the program."""

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.error: BaseException | None = None
        self._call = call

    def run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # raised again for whoever waits for it
            self.error = error
