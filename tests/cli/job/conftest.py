"""Runs as real processes, and a registry for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, Partition, PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import wait_until

SCRIPT = Path(sys.executable).parent / "partition-registry"
DAY = Interval("2026-11-01", "2026-11-02")
OPTIONS = ("sales", "nightly", "--start", "2026-11-01", "--end", "2026-11-02")
PLACE = PartitionKey("sales", "nightly", DAY)
_WAITING_LONG = (
    "import sys; from airflow_provider_partition_registry.cli import main; "
    "from airflow_provider_partition_registry.store.factory import open_store; "
    "open_store.__kwdefaults__['timeout'] = 300.0; del sys.argv[0]; main()"
)
WAITING_LONG = (sys.executable, "-c", _WAITING_LONG)
"""The wrapper of a run whose calls to the registry give up after five minutes."""
TIMEOUT = 90.0  # seconds that a test waits for anything


@dataclass
class Running:
    """A run that goes on, and its output."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def line(self) -> str:
        """The next line that the command writes to standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def error_line(self) -> str:
        """The next line on standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()

    def end(self) -> tuple[int, str]:
        """The exit code, and the rest of standard error."""
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors


@dataclass
class Registry:
    """A registry that knows the source ``sales`` and its provider ``nightly``, and runs that use it."""

    url: str
    store: RegistryStore
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self,
        *arguments: str,
        wrapper: tuple[str, ...] = (),
        of: tuple[str, ...] = OPTIONS,
        **options: Any,
    ) -> Running:
        """Start a run; options, ``--``, command. The command's standard output is a pipe."""
        process = subprocess.Popen(
            [*wrapper, str(SCRIPT), "run", *of, *arguments],
            **{
                "env": {**os.environ, URL_VARIABLE: self.url},
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "errors": "replace",
                **options,
            },
        )
        self._started.append(process)
        return Running(process)

    def run(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Run to the end: exit code and standard error."""
        return self.start(*arguments, **options).end()

    @property
    def partition(self) -> Partition:
        return self.store.get_partition(PLACE)

    def history(self) -> list[Event]:
        return [each for each in self.store.events().items if each.interval == DAY]

    def tidy(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def registered(url: str) -> Registry:
    store = open_store(url)
    token = store.register_source("sales", "ann").access_token
    store.register_provider("nightly", token)
    return Registry(url, store)


@pytest.fixture
def registry(migrated_sqlite_url: str) -> Iterator[Registry]:
    """A registry in SQLite."""
    made = registered(migrated_sqlite_url)
    yield made
    made.tidy()
    made.store.close()


@pytest.fixture
def each_registry(database_url: str) -> Iterator[Registry]:
    """A registry in each SQL database."""
    made = registered(database_url)
    yield made
    made.tidy()
    made.store.close()


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what=what, timeout=TIMEOUT, interval=0.02)


def is_alive(pid: int) -> bool:
    try:
        return state(pid) != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter if the process ends while it is read
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def guardian_of(running: Running) -> int:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.pid)], capture_output=True, text=True, check=True
    )
    (guardian,) = listed.stdout.split()
    return int(guardian)
