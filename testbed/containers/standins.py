"""Local images under the names of the official ones, made from Debian's packages and those of PyPI.

They are made once and kept in ``.containers``. If a file here changes, its image is made again.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from testbed.containers.engine import LOGS, SCRATCH, environment, podman, try_podman
from testbed.processes import TestbedError

FILES = Path(__file__).parent / "standins"
CONTEXT = SCRATCH / "standins"
COMPOSE = SCRATCH / "docker-compose"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
PLUGIN = "usr/libexec/docker/cli-plugins/docker-compose"

AIRFLOWS = {"2.11.2": "airflow-2", "3.3.2": "airflow-3"}
"""For each version of Airflow in ``compose.airflow.yaml``, the group of ``uv.lock`` that contains it."""


def make_standins(uv: Path) -> None:
    """Make all of them, and get Compose."""
    shutil.copytree(FILES, CONTEXT, dirs_exist_ok=True)
    for release in ("trixie", "bookworm"):
        _make_debian(release)
    _get_compose()
    _build("python", "docker.io/library/python:3.13-slim-trixie")
    _build("postgres", "docker.io/library/postgres:18-alpine")
    _build("adminer", "docker.io/library/adminer:5")
    for version, group in AIRFLOWS.items():
        _write_constraints(uv, group)
        arguments = {"AIRFLOW_VERSION": version, "CONSTRAINTS": f"{group}.txt"}
        _build("airflow", f"docker.io/apache/airflow:{version}-python3.12", **arguments)


def build(file: Path, tag: str, context: Path, **arguments: str) -> None:
    """Build an image as ``docker build`` does; the output goes to a log."""
    command = ["podman", "build", "--format", "docker", "--network", "host", "--pull=never", "--tag", tag]
    command += [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]
    name = tag.rpartition("/")[2].replace(":", "-")
    _run_logged(f"build-{name}.log", *command, "--file", file, context)


def _run_logged(log_name: str, *command: str | Path) -> None:
    log = LOGS / log_name
    with log.open("w") as output:
        done = subprocess.run(command, env=environment(), stdout=output, stderr=output, check=False)
    if done.returncode != 0:
        raise TestbedError(f"{command[0]} failed, see {log}:\n{log.read_text()[-2000:]}")


def _build(name: str, tag: str, **arguments: str) -> None:
    build(CONTEXT / f"{name}.Containerfile", tag, CONTEXT, **arguments)


def _make_debian(release: str) -> None:
    """The root file system that the others are built on."""
    tag, root = f"localhost/debian:{release}", SCRATCH / release
    if try_podman("image", "exists", tag).returncode == 0:
        return
    shutil.rmtree(root, ignore_errors=True)
    include = f"--include={','.join(PACKAGES)}"
    _run_logged(f"debootstrap-{release}.log", "debootstrap", "--variant=minbase", include, release, root)
    # The images trust the same certificates as this machine, which may have a package index of its own.
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    archive = SCRATCH / "tmp" / f"{release}.tar"
    subprocess.run(["tar", "--directory", root, "--create", "--file", archive, "."], check=True)
    variables = [f"--change=ENV {name}={CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
    podman("import", *variables, archive, tag)
    archive.unlink()


def _get_compose() -> None:
    """Extract Docker Compose from a Debian package, as this machine's Debian may have none that is new enough."""
    if COMPOSE.exists():
        return
    root = SCRATCH / "trixie"
    for command in ("apt-get update", "apt-get download docker-compose"):
        subprocess.run(["chroot", root, "sh", "-c", f"cd /tmp && {command}"], check=True, capture_output=True)
    (package,) = (root / "tmp").glob("docker-compose_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, SCRATCH / "tmp" / "compose"], check=True)
    shutil.copy(SCRATCH / "tmp" / "compose" / PLUGIN, COMPOSE)


def _write_constraints(uv: Path, group: str) -> None:
    """Write the lock file's versions as constraints, as official images use Airflow's own constraints."""
    options = ["--frozen", "--quiet", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-project"]
    subprocess.run(
        [uv, "export", *options, "--group", group, "--output-file", CONTEXT / f"{group}.txt"], check=True
    )
