"""Fixtures shared by the tests of the running service."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testbed.processes import wait_until
from testbed.service import ServiceThread
from testbed.service_process import ServiceProcess

MIDNIGHT = "2026-01-01T00:00:00Z"
ONE = "2026-01-01T01:00:00Z"
HOUR = {"start": MIDNIGHT, "end": ONE}
QUESTION = {"source_name": "s", **HOUR}
PLACE = {**QUESTION, "provider_name": "p"}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(made[0]), "-keyout", str(made[1])),
        ],
        check=True,
        capture_output=True,
    )
    return made


def client(service: ServiceProcess | ServiceThread, **options: Any) -> httpx.Client:
    """A client for a service on this machine, without a proxy."""
    return httpx.Client(base_url=service.url, timeout=60, trust_env=False, **options)


def refuses(port: int) -> bool:
    """Whether nobody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def register(http: httpx.Client) -> str:
    """Register source ``s`` with provider ``p``; returns the source's access token."""
    source = http.post("/sources/register", params={"source_name": "s", "owner": "ann"})
    token = source.json()["registered_object"]["access_token"]["token"]
    provider = http.post("/providers/register", params={"provider_name": "p", "access_token": token})
    assert provider.status_code == 200
    return token


def metric(http: httpx.Client, name: str, **labels: str) -> float:
    """The value of one series, 0 if there is none yet."""
    for line in http.get("/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        its_name, _, its_labels = series.partition("{")
        if its_name == name and all(f'{key}="{each}"' in its_labels for key, each in labels.items()):
            return float(value)
    return 0.0


def wait_for_waiting(http: httpx.Client, kind: str, count: int = 1) -> None:
    """Wait until this many clients wait."""
    wait_until(
        lambda: metric(http, "partition_registry_waiting_clients", kind=kind) == count,
        what=f"{count} waiting clients",
        timeout=60,
        interval=0.02,
    )


def events_of(stream: httpx.Response) -> Iterator[tuple[int, str]]:
    """Position and type of a stream's events, as they arrive."""
    position = 0
    for line in stream.iter_lines():
        if line.startswith("id: "):
            position = int(line.removeprefix("id: "))
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line == "" and position:
            yield position, kind
            position = 0
