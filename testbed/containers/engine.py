"""Podman, set up to keep everything in one folder and to need neither systemd nor a daemon."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import Child, TestbedError, wait_until

SCRATCH = Path.cwd() / ".containers"
LOGS = SCRATCH / "logs"
SOCKET = Path("/run/podman.sock")
HEALTH_INTERVAL = 2.0  # seconds

CONTAINERS_CONF = """\
[containers]
# The default asks for more than a container may get that runs Podman itself.
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
# crun refuses machines that have the first and the second version of cgroups.
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{scratch}/networks"
"""
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{scratch}/storage"
runroot = "/run/containers/storage"
"""


def environment() -> dict[str, str]:
    """The environment in which Podman and Compose are started."""
    return os.environ | {
        "BUILDAH_ISOLATION": "chroot",
        "CONTAINERS_CONF": str(SCRATCH / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(SCRATCH / "storage.conf"),
        "DISABLE_HC_SYSTEMD": "true",
        "DOCKER_HOST": f"unix://{SOCKET}",
        "TMPDIR": str(SCRATCH / "tmp"),
    }


def configure() -> None:
    """Write Podman's settings."""
    for folder in ("tmp", "networks", "logs"):
        (SCRATCH / folder).mkdir(parents=True, exist_ok=True)
    (SCRATCH / "containers.conf").write_text(CONTAINERS_CONF.format(scratch=SCRATCH))
    (SCRATCH / "storage.conf").write_text(STORAGE_CONF.format(scratch=SCRATCH))


def podman(*arguments: str | Path) -> str:
    """Run Podman, and return its output.

    :raises TestbedError: it failed; with its message.
    """
    done = try_podman(*arguments)
    if done.returncode != 0:
        raise TestbedError(f"podman {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
    return done.stdout


def try_podman(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Podman, whether it succeeds or not."""
    return subprocess.run(
        ["podman", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def remove_containers() -> None:
    """Remove all containers, volumes and networks; images stay."""
    podman("rm", "--all", "--force", "--volumes", "--time", "0")
    podman("volume", "prune", "--force")
    podman("network", "prune", "--force")


@contextmanager
def docker_api() -> Iterator[None]:
    """Serve Docker's API, which Compose speaks, and run health checks, as Docker's daemon does."""
    service = Child(
        "Podman's service",
        ["podman", "system", "service", "--time", "0", f"unix://{SOCKET}"],
        LOGS / "podman.log",
        environment=environment(),
    )
    service.start()
    stop = threading.Event()
    health = threading.Thread(target=_look_after_health, args=(stop,), name="health")
    try:
        wait_until(SOCKET.exists, what="Podman's service", timeout=30, children=[service])
        health.start()
        yield
    finally:
        stop.set()
        health.join()
        service.stop()


def _look_after_health(stop: threading.Event) -> None:
    """Run the health checks until all have succeeded. Podman leaves them to timers of systemd."""
    not_yet_well = [part for status in ("starting", "unhealthy") for part in ("--filter", f"health={status}")]
    while not stop.wait(HEALTH_INTERVAL):
        for name in try_podman("ps", *not_yet_well, "--format", "{{.Names}}").stdout.split():
            try_podman("healthcheck", "run", name)
