"""Running the server, in this process or in worker processes."""

from __future__ import annotations

import contextlib
import logging.config
import signal
import sys
from collections.abc import Sequence
from socket import socket
from typing import Any

import uvicorn

from airflow_provider_partition_registry.server.observing.logs import LOGGING
from airflow_provider_partition_registry.server.processes.connections import LimitedProtocol
from airflow_provider_partition_registry.server.processes.supervising import STARTUP_FAILURE, supervise

log = logging.getLogger(__name__)

GRACE = 30  # seconds that running requests get at a graceful shutdown
KEEP_ALIVE = (
    75  # seconds; longer than clients and proxies keep idle connections, so that none is closed in mid-call
)

OPTIONS: dict[str, Any] = {
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": KEEP_ALIVE,
    "http": LimitedProtocol,
    "ws": "none",
}
"""uvicorn's options wherever the service runs."""


def run(app: str, sockets: Sequence[socket], *, workers: int, trusted_proxies: str) -> int:
    """Serve until told to stop.

    :param app: the import path of the application's factory.
    :param sockets: the sockets to listen on.
    :return: the exit code.
    """
    logging.config.dictConfig(LOGGING)
    for each in sockets:
        host, port = each.getsockname()[:2]
        log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    if workers > 1:
        return supervise(workers, f"{__name__}:{work_alone.__name__}", app, sockets, trusted_proxies)
    work_alone(app, sockets, trusted_proxies)
    return 0


def work_alone(app: str, sockets: Sequence[socket], trusted_proxies: str) -> None:
    """Serve in this process, without workers."""
    logging.config.dictConfig(LOGGING)
    config = uvicorn.Config(
        app,
        factory=True,
        timeout_graceful_shutdown=GRACE,
        forwarded_allow_ips=trusted_proxies,
        **OPTIONS,
    )
    server = uvicorn.Server(config)
    # After a graceful shutdown uvicorn raises the signal again. The exit code is to be 0 all the same.
    with contextlib.suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        server.run(list(sockets))
    if not server.started:
        sys.exit(STARTUP_FAILURE)
