"""What clients cost a service that wait there: for readiness, or on a stream of events."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from airflow_provider_partition_registry.domain.intervals import format_instant
from benchmarks.http_client import Connection, get
from benchmarks.report import Figure
from benchmarks.service import Service, running
from benchmarks.writing import HISTORY, PLAIN
from testbed.processes import wait_until

FEW = 100
CROWDS = (1_000, 10_000)
QUIET_TIME = 20.0  # seconds in which nothing happens


def figures(url: str) -> Iterator[Figure]:
    """All figures about waiting clients, each kind with a new service."""
    _allow_open_files(2 * max(CROWDS))
    unpublished = PLAIN.interval(10 * HISTORY)
    question = {
        "source_name": PLAIN.source_name,
        "start": format_instant(unpublished.start),
        "end": format_instant(unpublished.end),
        "wait_seconds": 300,
    }
    kinds = {
        "for readiness": get("/api/v1/readiness", question),
        "on a stream of events": get("/api/v1/events/stream"),
    }
    for kind, request in kinds.items():
        with running(url) as service:
            few, *crowds = (_wait_together(service, request, clients) for clients in (FEW, *CROWDS))
        for clients, costs in zip(CROWDS, crowds, strict=True):
            who = f"{clients:,} clients that wait {kind}"
            memory = (costs.memory - few.memory) / (clients - FEW) / 1024
            yield Figure(f"{who}: memory of each", memory, 1, unit="KiB")
            cpu = (costs.cpu - few.cpu) / (clients - FEW) / QUIET_TIME * 60 * 1000
            yield Figure(f"{who}: CPU time of each in a minute in which nothing happens", cpu, 1)


@dataclass(frozen=True)
class _Costs:
    """What waiting clients cost: bytes of memory, and seconds of CPU time in the quiet time."""

    memory: int
    cpu: float


def _wait_together(service: Service, request: bytes, clients: int) -> _Costs:
    with ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(Connection(service.port)).socket.sendall(request)
        probe = stack.enter_context(Connection(service.port))
        _wait_for_waiting(probe, clients)
        cpu = service.cpu_time()
        time.sleep(QUIET_TIME)
        costs = _Costs(service.memory(), service.cpu_time() - cpu)
    with Connection(service.port) as probe:
        _wait_for_waiting(probe, 0)
    return costs


def _wait_for_waiting(connection: Connection, clients: int) -> None:
    wait_until(
        lambda: _waiting(connection) == clients,
        what=f"{clients} to wait",
        timeout=120,
        interval=0.05,
        detail=lambda: f"{_waiting(connection)} do",
    )


def _waiting(connection: Connection) -> int:
    lines = connection.ask(get("/metrics")).decode().splitlines()
    found = [line for line in lines if line.startswith("partition_registry_waiting_clients{")]
    return sum(int(float(line.split()[-1])) for line in found)


def _allow_open_files(count: int) -> None:
    """Let this process and the services that it starts hold so many connections."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(now, count), most), most))
