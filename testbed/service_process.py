"""A web service as users run it: a process, from an environment that has what it needs."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

from testbed.processes import Child, free_port, new_temporary_folder, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

START_TIMEOUT = 150.0  # seconds, on a machine however busy
# A proxy of this machine must not be used for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServiceProcess:
    """Serves for the length of a ``with`` block, and can be killed and started again meanwhile.

    :param database_url: the registry it serves
    :param options: further options of ``partition-registry serve``
    :param python: of the environment it runs from; by default ours
    :param variables: ``PARTITION_REGISTRY_...`` variables for it; it inherits none
    :param port: of 127.0.0.1; by default a free one
    :param log: the file for what it says, one JSON object per line; by default a temporary one
    :param is_up_when: the path that answers 200 once it has started: ``/healthz`` where there is no database yet
    """

    def __init__(
        self,
        database_url: str,
        *options: str,
        python: Path | str = sys.executable,
        variables: Mapping[str, str] | None = None,
        port: int | None = None,
        log: Path | None = None,
        is_up_when: str = "/readyz",
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._is_up_when = is_up_when
        command = [python, "-m", "airflow_provider_partition_registry.cli", "serve", "--port", str(self.port)]
        self.process = Child(
            f"the service at {self.url}",
            [*command, *options],
            log or new_temporary_folder("service") / "service.log",
            environment={
                **_inherited(python),
                "PARTITION_REGISTRY_DATABASE_URL": database_url,
                **(variables or {}),
            },
        )

    @property
    def log_text(self) -> str:
        """Everything it has logged, including before restarts."""
        return self.process.log.read_text()

    def workers(self) -> list[int]:
        """The process ids of its workers; there are none with ``--workers 1``."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Without the helper process of multiprocessing.
        return [
            int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    def start(self) -> None:
        """Start it, or restart it on the same port; return when it is up."""
        self.process.start()
        wait_until(
            self._is_up,
            what=f"{self.process.name} to be up",
            timeout=START_TIMEOUT,
            children=[self.process],
            interval=0.05,
        )

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def _is_up(self) -> bool:
        try:
            with _opener.open(self.url + self._is_up_when, timeout=5):
                return True
        except OSError:  # also if the status is not 200
            return False


def _inherited(python: Path | str) -> dict[str, str]:
    # The import path is that of this environment only.
    dropped = ("PARTITION_REGISTRY_",) if python == sys.executable else ("PARTITION_REGISTRY_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
