"""One real, isolated Airflow instance, of the version that a virtual environment contains."""

from __future__ import annotations

import datetime
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.airflow_api import Airflow2Api, Airflow3Api, AirflowApi
from testbed.airflow_hands import Hands, Hands2, Hands3
from testbed.airflow_settings import (
    PASSWORDS,
    WEBSERVER_CONFIG_2,
    WEBSERVER_CONFIG_2_WITH_USERS,
    complete_environment,
    component_commands,
    default_settings,
    installed_version,
    settings_of_users,
)
from testbed.http_json import TRANSIENT_ERRORS, ApiError
from testbed.processes import (
    Child,
    TestbedError,
    free_port,
    new_temporary_folder,
    stop_together,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from testbed.http_json import Json

WARM_UP_DAG = "testbed_warm_up"

# The health page's names for the programs that report there; the server is known to be healthy if it responds.
HEALTH_NAMES = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


class AirflowInstance:
    """An Airflow with its own home, metadata database, DAGs and port, for the length of a ``with`` block.

    :param programs: the ``bin`` folder of the virtual environment it runs from
    :param name: what messages call it
    :param metadata_url: its metadata database; by default SQLite, except on 2.11, which would run one task
        at a time on it
    :param settings: ``AIRFLOW__...`` variables over :func:`~testbed.airflow_settings.default_settings`;
        ``None`` as a value means Airflow's own default
    :param environment: further variables for every process, such as ``AIRFLOW_CONN_...`` or ``PYTHONPATH``
    :param home: where everything it writes stays; by default a temporary folder that goes at the end
    :param port: of its web server
    :param users: their roles, by name; a user's password is the name, and the first one calls the API. Without any,
        everybody is an administrator
    """

    def __init__(
        self,
        programs: Path | str,
        *,
        name: str = "airflow",
        metadata_url: str | None = None,
        settings: Mapping[str, str | None] | None = None,
        environment: Mapping[str, str] | None = None,
        home: Path | None = None,
        port: int | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        programs = Path(programs).absolute()
        self.name = name
        self.version = installed_version(programs)
        if self.version.major == 2 and metadata_url is None:
            raise TestbedError(
                f"Airflow {self.version} needs a PostgreSQL metadata database: pass metadata_url"
            )
        self.home = home or new_temporary_folder(name)
        self.dags_folder = self.home / "dags"
        self.logs_folder = self.home / "logs"
        self.ui_url = f"http://127.0.0.1:{port or free_port()}/"
        self._users = users or {}
        self.api = self._make_api()
        self.hands: Hands = Hands2(self.api) if self.version.major == 2 else Hands3(self.api)
        self.metadata_url = metadata_url or f"sqlite:///{self.home}/airflow.db"
        self._environment = complete_environment(
            programs,
            default_settings(self.version, self.home, self.ui_url, metadata_url),
            settings_of_users(self.version, self.home, self._users),
            settings or {},
            environment or {},
        )
        self._programs = programs
        self._is_migrated = False
        self.components = {
            component: self._child(component, command)
            for component, command in component_commands(self.version).items()
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __str__(self) -> str:
        return f"{self.name} (Airflow {self.version})"

    @property
    def login_hint(self) -> str:
        return f"{self.ui_url} needs no login: every visitor of this instance is an administrator"

    def add_dags(self, *sources: Path) -> None:
        """Copy DAG files, or the contents of folders, into the DAG folder."""
        for source in sources:
            if source.is_dir():
                no_caches = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, self.dags_folder, dirs_exist_ok=True, ignore=no_caches)
            else:
                self.dags_folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, self.dags_folder)

    def start(self, timeout: float = 180) -> None:
        """Start everything; return when all components report that they are healthy."""
        self.add_dags(Path(__file__).parent / "dags")
        (self.home / PASSWORDS).write_text(json.dumps({name: name for name in self._users}))
        if self.version.major == 2:
            config = WEBSERVER_CONFIG_2_WITH_USERS if self._users else WEBSERVER_CONFIG_2
            (self.home / "webserver_config.py").write_text(config)
        self._migrate(timeout)
        beginning = datetime.datetime.now(datetime.UTC)
        try:
            for child in self.components.values():
                child.start()
            self._wait_until_healthy(beginning, timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop everything and keep the home. Returns whether nothing had to be killed."""
        return stop_together(self.components.values())

    def kill(self, component: str) -> None:
        """End one component as a power cut would, with the tasks or triggers it runs."""
        self.components[component].kill()

    def restart(self, component: str, timeout: float = 120) -> None:
        """Stop one component, if it runs, and start it; return when it is healthy."""
        child = self.components[component]
        child.stop()
        beginning = datetime.datetime.now(datetime.UTC)
        child.start()
        self._wait_until_healthy(beginning, timeout, only=component)

    def warm_up(self, timeout: float = 180) -> float:
        """Run one trivial DAG, as the first task of an instance takes seconds more; returns how long it took."""
        self.api.wait_until_parsed(WARM_UP_DAG, timeout)
        beginning = time.monotonic()
        self.api.unpause(WARM_UP_DAG)
        run_id = self.api.trigger_run(WARM_UP_DAG)
        if self.api.wait_for_run(WARM_UP_DAG, run_id, timeout) != "success":
            raise TestbedError(f"{self}: even a trivial task fails\n{self.log_tails()}")
        return time.monotonic() - beginning

    def is_healthy(self, since: datetime.datetime | None = None, only: str | None = None) -> bool:
        """Whether all components, or the given one, are healthy, with a heartbeat after ``since``.

        Airflow calls a dead component healthy for another half a minute, which must not mislead a restart.
        """
        try:
            heartbeats = self.api.heartbeats()
        except (*TRANSIENT_ERRORS, ApiError):
            return False
        expected = {"metadatabase"}
        expected |= {
            HEALTH_NAMES[each] for each in HEALTH_NAMES.keys() & {only or each for each in self.components}
        }
        return all(part in heartbeats and (since is None or heartbeats[part] > since) for part in expected)

    def run_airflow(self, *arguments: str, timeout: float = 180) -> None:
        """Run one command of Airflow's command line; its output goes to a log file."""
        self.run_program("airflow", *arguments, timeout=timeout)

    def run_program(self, program: str, *arguments: str, timeout: float = 180) -> str:
        """Run a program of the instance's environment with its settings; returns its output, which is also logged."""
        command = self._program(program, *arguments)
        said_before = command.log.stat().st_size if command.log.exists() else 0
        command.start()
        if command.wait_for_exit(timeout) != 0:
            raise TestbedError(f"{command.name} failed\n{command.log_tail()}")
        return command.log.read_bytes()[said_before:].decode(errors="replace")

    def start_backfill(self, dag_id: str, date: datetime.datetime, conf: Mapping[str, Json]) -> list[Child]:
        """Create a DAG's run for a date, as a person does who fills a gap.

        :return: on 2.11 the program that runs its tasks and ends with them; on 3.x nothing, as the scheduler does it.
        """
        if self.version.major != 2:
            dates = {"from_date": date, "to_date": date}
            self.api.call("POST", "/backfills", {"dag_id": dag_id, "dag_run_conf": conf, **dates})
            return []
        at = date.isoformat()
        dates_and_conf = ("--start-date", at, "--end-date", at, "--conf", json.dumps(conf))
        program = self._program("airflow", "dags", "backfill", dag_id, *dates_and_conf)
        program.start()
        return [program]

    def log_tails(self) -> str:
        return "\n".join(child.log_tail() for child in self.components.values())

    def _migrate(self, timeout: float) -> None:
        if not self._is_migrated:
            self.run_airflow("db", "migrate", timeout=timeout)
            self._is_migrated = True
            if self.version.major == 2 and self._users:
                self._create_users(timeout)

    def _create_users(self, timeout: float) -> None:
        self.run_airflow("sync-perm", timeout=timeout)  # creates the roles
        for name, role in self._users.items():
            named = ("--username", name, "--password", name, "--firstname", name, "--lastname", name)
            account = ("--email", f"{name}@example.com", "--role", role.capitalize())
            self.run_airflow("users", "create", *named, *account, timeout=timeout)

    def _wait_until_healthy(self, since: datetime.datetime, timeout: float, only: str | None = None) -> None:
        wait_until(
            lambda: self.is_healthy(since, only),
            what=f"{self} to be healthy",
            timeout=timeout,
            children=[self.components[only]] if only else self.components.values(),
            interval=0.3,
        )

    def _make_api(self) -> AirflowApi:
        kind = Airflow2Api if self.version.major == 2 else Airflow3Api
        return kind(self.ui_url, next(iter(self._users), None))

    def _program(self, program: str, *arguments: str) -> Child:
        return Child(
            f"{' '.join((program, *arguments))} of {self}",
            [self._programs / program, *arguments],
            self.logs_folder / f"{'-'.join((program, *arguments))[:68].replace('/', '_')}.log",
            environment=self._environment,
        )

    def _child(self, component: str, command: list[str]) -> Child:
        program, *arguments = command
        return Child(
            f"{component} of {self}",
            [self._programs / program, *arguments],
            self.logs_folder / f"{component}.log",
            environment=self._environment,
        )
