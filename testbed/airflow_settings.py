"""Programs and settings of an Airflow instance, for 2.11 and for 3.x."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Settings = dict[str, str | None]

PASSWORDS = "passwords.json"

# On 2.11 anonymous users become administrators; 3.x has a setting for that. Creating a user would take 7 s.
WEBSERVER_CONFIG_2 = 'AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = False\n'
WEBSERVER_CONFIG_2_WITH_USERS = "WTF_CSRF_ENABLED = False\n"


class Version(NamedTuple):
    major: int
    minor: int
    patch: str

    def __str__(self) -> str:
        return ".".join(map(str, self))


def installed_version(programs: Path) -> Version:
    """The version of Airflow in the environment with this ``bin`` folder."""
    question = "from importlib.metadata import version; print(version('apache-airflow-core'))"
    answer = _ask_python(programs, question)
    if answer.returncode != 0:  # up to 2.11 there is only one distribution
        answer = _ask_python(programs, question.replace("-core", ""))
    if answer.returncode != 0:
        raise LookupError(f"no Airflow in {programs}: {answer.stderr.strip()}")
    major, minor, patch = answer.stdout.strip().split(".", 2)
    return Version(int(major), int(minor), patch)


def _ask_python(programs: Path, question: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([programs / "python", "-c", question], capture_output=True, text=True, check=False)


def component_commands(version: Version) -> dict[str, list[str]]:
    """The long-running programs of an instance, in the order in which to start them.

    Without ``--skip-serve-logs`` two instances on one machine fight over the ports of their log servers.
    """
    background = {
        "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
        "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
    }
    if version.major == 2:
        return {"webserver": ["airflow", "webserver"]} | background
    api_server = {"api-server": ["airflow", "api-server"]}
    return api_server | background | {"dag-processor": ["airflow", "dag-processor"]}


def default_settings(version: Version, home: Path, ui_url: str, metadata_url: str | None) -> Settings:
    """All settings of an isolated instance, including those that make it react quickly.

    The keys are environment variables. A caller may override each; ``None`` leaves a setting to Airflow.
    """
    own = _settings_of_2 if version.major == 2 else _settings_of_3
    return _common_settings(home, metadata_url or f"sqlite:///{home}/airflow.db") | own(ui_url)


def _common_settings(home: Path, metadata_url: str) -> Settings:
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        # Which driver the scheme alone means depends on the version of SQLAlchemy.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata_url.replace("postgresql:", "postgresql+psycopg2:", 1),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def _settings_of_2(ui_url: str) -> Settings:
    return {
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(urlsplit(ui_url).port),
        "AIRFLOW__WEBSERVER__BASE_URL": ui_url.rstrip("/"),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        # On a busy machine Airflow at times miscounts its workers at the start, and would stop a healthy server after
        # waiting this long for another one.
        "AIRFLOW__WEBSERVER__WEB_SERVER_MASTER_TIMEOUT": "0",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__SCHEDULER__PARSING_PROCESSES": "1",
    }


def _settings_of_3(ui_url: str) -> Settings:
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(urlsplit(ui_url).port),
        "AIRFLOW__API__BASE_URL": ui_url,
        "AIRFLOW__API__WORKERS": "1",  # 3.0 starts four
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # With Airflow's 5 s, a task whose trigger fires soon after it deferred is often marked as failed (3.3.2).
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def settings_of_users(version: Version, home: Path, users: Mapping[str, str]) -> Settings:
    """Settings of an instance in which only these users may sign in, whose roles are given."""
    if not users:
        return {}
    if version.major == 2:
        return {"AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth"}
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(":".join(each) for each in users.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / PASSWORDS),
    }


def complete_environment(programs: Path, *layers: Mapping[str, str | None]) -> dict[str, str]:
    """The environment of an instance's processes: ours without other Airflows' variables, then the layers."""
    environment: dict[str, str | None] = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW", "_AIRFLOW")) and key not in ("VIRTUAL_ENV", "PYTHONHOME")
    }
    environment["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment["PYTHONUNBUFFERED"] = "1"
    # The components talk to each other on this machine; on macOS asking for the proxy crashes after a fork.
    environment["NO_PROXY"] = environment["no_proxy"] = "*"
    environment["OBJC_DISABLE_INITIALIZE_FORK_SAFETY"] = "YES"
    for layer in layers:
        environment |= layer
    return {key: value for key, value in environment.items() if value is not None}
