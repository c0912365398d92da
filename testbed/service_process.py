"""A web service as users run it: a process, from whichever environment holds what it needs."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.processes import Child, free_port, new_temporary_folder, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

START_TIMEOUT = 60.0


class ServiceProcess:
    """Serves for the length of a ``with`` block, and can be killed and started again meanwhile.

    :param python: of the environment it runs from
    :param database_url: the registry it serves
    :param variables: ``PARTITION_REGISTRY_...`` variables for it
    :param port: of 127.0.0.1; by default a free one
    :param log: the file for what it says, one JSON object per line; by default a temporary one
    """

    def __init__(
        self,
        python: Path | str,
        database_url: str,
        *,
        variables: Mapping[str, str] | None = None,
        port: int | None = None,
        log: Path | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log or new_temporary_folder("service") / "service.log"
        command = [python, "-m", "airflow_provider_partition_registry.cli", "serve", "--port", str(self.port)]
        # The path to import from may be that of another environment.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PARTITION_REGISTRY_", "PYTHON"))
        }
        self.child = Child(
            f"the service at {self.url}",
            command,
            self.log,
            environment=inherited | {"PARTITION_REGISTRY_DATABASE_URL": database_url} | (variables or {}),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = START_TIMEOUT) -> None:
        """Start it; back when it can serve."""
        self.child.start()
        wait_until(
            self._is_ready,
            what=f"{self.child.name} to be ready",
            timeout=timeout,
            children=[self.child],
            interval=0.05,
        )

    def stop(self) -> bool:
        """Let it end in good order; whether it did."""
        return self.child.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.child.kill()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
