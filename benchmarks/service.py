"""The web service as ``partition-registry serve`` runs it, plus a route that does nothing: the floor.

Run as a script it serves: ``python -m benchmarks.service URL PORT``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI

from airflow_provider_partition_registry.cli import main
from airflow_provider_partition_registry.cli.commands import serve as serving
from airflow_provider_partition_registry.server import app as server
from benchmarks.http_client import Connection, get
from benchmarks.measuring import cpu_time
from testbed.processes import free_port, wait_until

EMPTY = "/empty"


def create_app() -> FastAPI:
    """The service's own application, with an empty synchronous route."""
    app = server.create_app()

    @app.get(EMPTY)
    def empty() -> dict[str, str]:
        return {}

    return app


class Service:
    """One running service with one worker.

    :param process: its process id.
    """

    def __init__(self, port: int, process: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process = process

    def memory(self) -> int:
        """How much memory it uses (bytes)."""
        pages = int(Path(f"/proc/{self._process}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_time(self) -> float:
        """How much CPU time it has used (seconds)."""
        return cpu_time(self._process)


@contextmanager
def running(database_url: str) -> Iterator[Service]:
    """Serve the registry in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.service", database_url, str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield Service(port, process.pid)
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    wait_until(lambda: _answers(port), what="the service to start", timeout=60)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), Connection(port) as connection:
        connection.ask(get("/readyz"))
        return True
    return False


if __name__ == "__main__":
    url, port = sys.argv[1:]
    serving.APP = "benchmarks.service:create_app"
    sys.argv = ["partition-registry", "serve", "--database-url", url, "--port", port]
    main()
