"""A web service on a real port, in a thread of the test's own process or in a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Self

import uvicorn

from airflow_provider_partition_registry.server.app import create_app
from airflow_provider_partition_registry.server.processes.running import OPTIONS
from testbed.processes import Child, free_port, new_temporary_folder, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_partition_registry.server.settings import ServiceSettings
    from airflow_provider_partition_registry.store.contract import RegistryStore


class ServiceThread:
    """Serves for the length of a ``with`` block.

    :param store: in place of the one that the settings name; it may go by a clock of its own
    :param tls: the files with its certificate and its key, to serve over TLS
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: RegistryStore | None = None,
        *,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.app = create_app(settings, store)
        certificate, key = tls or (None, None)
        config = uvicorn.Config(
            self.app,
            host="127.0.0.1",
            port=0,
            **OPTIONS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        self._scheme = "https" if tls else "http"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="service", daemon=True)

    @property
    def url(self) -> str:
        """Where it is."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"{self._scheme}://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the service does not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(30)


class ServiceProcess:
    """``partition-registry serve`` in processes of its own, for the length of a ``with`` block.

    :param database_url: the registry it serves
    :param options: further options of the command
    """

    def __init__(self, database_url: str, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = new_temporary_folder("service")
        self._last_words = ""
        command = [sys.executable, "-m", "airflow_provider_partition_registry.cli", "serve"]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PARTITION_REGISTRY_")
        }
        self.process = Child(
            "the service",
            [*command, "--port", str(self.port), *options],
            self._folder / "service.log",
            environment={**environment, "PARTITION_REGISTRY_DATABASE_URL": database_url},
        )

    @property
    def log_text(self) -> str:
        """All that it has logged, also before restarts."""
        return self._last_words or self.process.log.read_text()

    def workers(self) -> list[int]:
        """The ids of its worker processes, of which there are none with ``--workers 1``."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Without multiprocessing's own helper.
        return [
            int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    def start(self) -> None:
        """Start, or start again on the same port; back when it answers."""
        self.process.start()
        wait_until(self._is_alive, what="the service", timeout=150, children=[self.process], interval=0.05)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()
        self._last_words = self.process.log.read_text()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_alive(self) -> bool:
        try:
            with _opener.open(f"{self.url}/healthz", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False


# A proxy of the machine must not come between us and 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
