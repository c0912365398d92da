"""A web service on a real port, in a thread of the test's own process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import uvicorn

from airflow_provider_partition_registry.server.app import create_app
from airflow_provider_partition_registry.server.processes.running import OPTIONS
from testbed.processes import TestbedError, wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_partition_registry.server.settings import ServiceSettings
    from airflow_provider_partition_registry.store.contract import RegistryDatabase


class ServiceThread:
    """Serves for the length of a ``with`` block.

    :param store: used in place of the one that the settings name; it may have a clock of its own
    :param tls: the files with its certificate and its key, to serve over TLS
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: RegistryDatabase | None = None,
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
        """The URL of the service."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"{self._scheme}://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(
            lambda: self._server.started or not self._thread.is_alive(),
            what="the service to start",
            timeout=30,
            interval=0.01,
        )
        if not self._server.started:
            raise TestbedError("the service has ended while it started")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(30)
