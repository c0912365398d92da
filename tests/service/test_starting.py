"""How the service starts: on slow machines, on ports that are in use, and again after its workers end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_partition_registry.server.processes import supervising
from airflow_provider_partition_registry.server.processes.sockets import listen
from airflow_provider_partition_registry.server.processes.supervising import Worker
from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from tests.service.conftest import client

SLOW = 7  # seconds; more than the five that uvicorn's supervisor allows


@pytest.fixture
def slow_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes worker processes take long to start."""
    slow_down(tmp_path, monkeypatch, SLOW)


def slow_down(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    (folder / "sitecustomize.py").write_text(
        f"import sys, time\nif any('spawn_main' in each for each in sys.orig_argv):\n    time.sleep({seconds})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("slow_workers")
def test_workers_that_take_long_to_start_are_given_the_time(migrated_sqlite_url: str) -> None:
    with ServiceProcess(migrated_sqlite_url, "--workers", "2") as service, client(service) as http:
        assert http.get("/readyz").status_code == 200
        assert "takes its place" not in service.log_text


@pytest.mark.usefixtures("slow_workers")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_on_which_another_service_is_about_to_start(migrated_sqlite_url: str, workers: str) -> None:
    first, second = (ServiceProcess(migrated_sqlite_url, "--workers", "2") for _ in range(2))
    second.process.command = [*first.process.command, "--workers", workers]
    first.process.start()
    try:
        wait_until(
            lambda: f"127.0.0.1:{first.port}" in first.log_text,
            what="the first service to say that it runs",
            timeout=60,
            children=[first.process],
            interval=0.02,
        )
        second.process.start()
        assert second.process.wait_for_exit(60) == 2
        assert f"Cannot listen on 127.0.0.1, port {first.port}" in second.log_text
        assert "Is it running already?" in second.log_text
    finally:
        first.process.stop()


def test_it_listens_on_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))  # an address that no machine has
    found = [
        missing,
        *(socket.getaddrinfo(each, 0, type=socket.SOCK_STREAM)[0] for each in ("127.0.0.1", "127.0.0.2")),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    opened = listen("registry", 0)
    try:
        addresses = [each.getsockname() for each in opened]
        assert [host for host, _ in addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({port for _, port in addresses}) == 1
    finally:
        for each in opened:
            each.close()
    found[1:] = []
    with pytest.raises(OSError, match="assign requested address"):
        listen("registry", 0)


def test_a_worker_that_is_killed_is_told_of_and_replaced(migrated_sqlite_url: str) -> None:
    with ServiceProcess(migrated_sqlite_url, "--workers", "2") as service:
        victim = service.workers()[0]
        os.kill(victim, signal.SIGKILL)
        told = f"Worker process {victim} has ended with SIGKILL; "
        wait_until(lambda: told in service.log_text, what="a line in the log", timeout=60)
        wait_until(lambda: len(service.workers()) == 2, what="two workers", timeout=60)
        assert victim not in service.workers()


def test_workers_that_cannot_start_are_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    assert supervising.supervise(2, "os:_exit", supervising.STARTUP_FAILURE) == 3
    assert "cannot start" in caplog.text


class TestAWorker:
    @pytest.fixture
    def worker(self) -> Iterator[Worker]:
        worker = Worker("time:sleep", 300)
        yield worker
        worker.kill()

    @pytest.fixture
    def started(self, worker: Worker) -> Worker:
        wait_until(lambda: self.has_started(worker), what="a sign of life", timeout=60, interval=0.02)
        return worker

    def has_started(self, worker: Worker) -> bool:
        assert worker.find_trouble() is None
        return worker._has_started

    def test_that_hangs_is_in_trouble(self, started: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
        assert started.pid
        os.kill(started.pid, signal.SIGSTOP)
        monkeypatch.setattr(supervising, "HEARTBEAT_TIMEOUT", 0.5)
        wait_until(started.find_trouble, what="trouble", timeout=60, interval=0.02)
        assert started.find_trouble() == "has not responded for 0.5 s"

    def test_that_takes_long_to_start_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        slow_down(tmp_path, monkeypatch, 300)
        monkeypatch.setattr(supervising, "HEARTBEAT_TIMEOUT", 0.0)
        monkeypatch.setattr(supervising, "START_IS_SLOW_AFTER", 0.0)
        worker = Worker("time:sleep", 300)
        assert worker.find_trouble() is None
        assert f"Worker process {worker.pid} has been starting for" in caplog.text
        worker.kill()

    def test_that_has_ended_says_how(self, started: Worker) -> None:
        started.terminate()
        wait_until(started.find_trouble, what="trouble", timeout=60, interval=0.02)
        assert started.find_trouble() == "has ended with SIGTERM"

    def test_whose_parent_is_gone_ends_though_it_is_still_importing(self) -> None:
        """On a slow machine the import would otherwise keep it running for long, and the port in use."""
        start = (
            "from airflow_provider_partition_registry.server.processes.supervising import Worker; import time"
        )
        begin = f"{start}; print(Worker('time:sleep', 300).pid, flush=True); time.sleep(300)"
        with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout
            worker = Path("/proc", parent.stdout.readline().strip())
            parent.kill()
        wait_until(lambda: not worker.exists(), what="the worker to end", timeout=60, interval=0.02)

    def test_that_ended_before_it_was_asked(self) -> None:
        worker = Worker("os:_exit", 5)
        wait_until(worker.find_trouble, what="trouble", timeout=60, interval=0.02)
        assert worker.find_trouble() == "has ended with exit code 5"
        worker.kill()
