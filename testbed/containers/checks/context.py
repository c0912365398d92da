"""No secret gets into the builds."""

from __future__ import annotations

import shutil
from pathlib import Path

from testbed.containers.engine import SCRATCH, podman
from testbed.containers.report import Report
from testbed.containers.stack import DOCKER, PROJECT

PROBE = "FROM localhost/debian:trixie\nCOPY . /context\nRUN find /context -type f\n"


def check(report: Report) -> None:
    """Plant secrets, and let a build list the files that were sent to it."""
    for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "airflow_provider_partition_registry"):
        source, target = Path.cwd() / name, PROJECT / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    (DOCKER / "secrets").mkdir()
    for planted in (DOCKER / ".env", DOCKER / "secrets" / "database_password", PROJECT / "notes.txt"):
        planted.write_text("secret")
    probe = SCRATCH / "tmp" / "probe.Containerfile"
    probe.write_text(PROBE)
    for name in ("Dockerfile", "airflow.Dockerfile"):
        ignored = DOCKER / f"{name}.dockerignore"
        printed = podman(
            "build", "--no-cache", "--pull=never", "--file", probe, "--ignorefile", ignored, PROJECT
        )
        sent = [
            line.removeprefix("/context/") for line in printed.splitlines() if line.startswith("/context/")
        ]
        others = [file for file in sent if not file.startswith("airflow_provider_partition_registry/")]
        is_right = "pyproject.toml" in others and not any(
            word in file for file in others for word in (".env", "secrets", "notes")
        )
        report.check(f"{name} is sent no secrets", is_right, f"the package, and {', '.join(sorted(others))}")
