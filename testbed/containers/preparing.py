"""Everything that needs the network: stand-ins for the official images, and the project's own images."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.containers import engine, machine
from testbed.containers.standins import AIRFLOWS, build, make_standins
from testbed.processes import TestbedError

PROJECT = Path.cwd()
UV = PROJECT / ".venvs" / "tools" / "bin" / "uv"


def main() -> int:
    """Make everything, and return the exit code."""
    machine.boot(has_network=True)
    engine.configure()
    try:
        make_standins(UV)
        build_images()
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build_images() -> None:
    """Build the project's images as their Dockerfiles say, under the names that Compose uses."""
    build(PROJECT / "docker" / "Dockerfile", "docker.io/library/partition-registry:local", PROJECT)
    for version, service in AIRFLOWS.items():
        tag = f"docker.io/library/partition-registry-{service}:latest"
        build(PROJECT / "docker" / "airflow.Dockerfile", tag, PROJECT, AIRFLOW_VERSION=version)


if __name__ == "__main__":
    sys.exit(main())
