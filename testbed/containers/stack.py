"""What Compose brings up from the project's files as they are, and how to inspect it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.containers.engine import SCRATCH, environment, podman, remove_containers, try_podman
from testbed.containers.standins import COMPOSE
from testbed.processes import TestbedError, wait_until

PROJECT = SCRATCH / "project"
DOCKER = PROJECT / "docker"
CONTAINERS_LOGS = PROJECT / "logs"
SERVICE = "http://127.0.0.1:5498"
ADMINER = "http://127.0.0.1:8080"
ONE_OFF = "one-off"
TURN_TIMEOUT = 600.0  # seconds

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def copy_project() -> None:
    """Copy what the Compose files refer to into a folder in which secrets may be written."""
    shutil.rmtree(PROJECT, ignore_errors=True)
    nobodys = shutil.ignore_patterns("secrets", ".env", "__pycache__")
    for folder in ("docker", "example_dags"):
        shutil.copytree(Path.cwd() / folder, PROJECT / folder, ignore=nobodys)
    CONTAINERS_LOGS.mkdir()


class Stack:
    """A Compose project.

    :param overlays: the files on top of ``compose.yaml``.
    :param variables: the environment variables that the files use.
    """

    def __init__(self, overlays: Sequence[str], variables: Mapping[str, str]) -> None:
        files = ("compose.yaml", *overlays)
        self._command = [str(COMPOSE), *(part for file in files for part in ("--file", file))]
        self._environment = environment() | dict(variables)

    def compose(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Compose, whether it succeeds or not."""
        return subprocess.run(
            [*self._command, *arguments],
            cwd=DOCKER,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TURN_TIMEOUT,
        )

    def require(self, *arguments: str) -> str:
        """Run a command of Compose that must succeed, and return its output.

        :raises TestbedError: it failed.
        """
        done = self.compose(*arguments)
        if done.returncode != 0:
            raise TestbedError(f"docker compose {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def up(self, *services: str) -> None:
        """Start services in order, as ``docker compose up`` does, but in the background."""
        self.require("up", "--detach", *services)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a container of a service for one command.

        Not with ``--rm``: for a container that is gone, Podman reports success to Compose.
        """
        done = self.compose("run", "--name", ONE_OFF, *arguments)
        done.returncode = int(inspect(ONE_OFF)["State"]["ExitCode"])
        podman("rm", ONE_OFF)
        return done


@contextmanager
def stack(*overlays: str, **variables: str) -> Iterator[Stack]:
    """A Compose project that leaves nothing behind but its containers' logs."""
    made = Stack(overlays, variables)
    try:
        yield made
    finally:
        for name in podman("ps", "--all", "--format", "{{.Names}}").split():
            (CONTAINERS_LOGS / f"{name}.log").write_text(read_log(name))
        remove_containers()


def container(service: str) -> str:
    """Compose's name for the one container of a service."""
    return f"partition-registry-{service}-1"


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows about a container."""
    found: list[dict[str, Any]] = json.loads(podman("inspect", "--type", "container", name))
    return found[0]


def read_log(name: str) -> str:
    """What a container has printed so far."""
    done = try_podman("logs", name)
    return done.stdout + done.stderr


def execute(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a running container, whether it succeeds or not."""
    return try_podman("exec", name, *command)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The last output of a command or, if it failed, its error message."""
    return (done.stdout if done.returncode == 0 else done.stderr).strip()[-500:]


def health_of(name: str) -> str:
    """The last result of a container's health check."""
    state = inspect(name)["State"]
    return str((state.get("Health") or state.get("Healthcheck") or {}).get("Status"))


def wait_for_health(name: str) -> None:
    """Wait until a container's own health check says that it is well."""
    wait_until(
        lambda: health_of(name) == "healthy",
        what=f"the health of {name}",
        timeout=TURN_TIMEOUT,
        interval=1,
        detail=lambda: read_log(name)[-2000:],
    )


def kill(name: str) -> None:
    """Kill a container's first process behind the engine's back, as the system does when it runs out of memory."""
    os.kill(inspect(name)["State"]["Pid"], signal.SIGKILL)


def get(url: str) -> tuple[int, str]:
    """Status and text of a response; 0 and the reason if there is none."""
    try:
        with _opener.open(url, timeout=30) as answer:
            return int(answer.status), answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def wait_for_answer(url: str, status: int = 200) -> float:
    """Wait for a response with this status; returns how long it took in seconds."""
    started = time.monotonic()
    wait_until(
        lambda: get(url)[0] == status,
        what=f"{status} from {url}",
        timeout=TURN_TIMEOUT,
        interval=0.2,
        detail=lambda: get(url),
    )
    return time.monotonic() - started
