"""The environment of a row: made with uv under ``.venvs/matrix``, kept from run to run."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import uv

from testbed.matrix.rows import Row
from testbed.processes import TestbedError

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / ".venvs" / "matrix"
OURS = "airflow-provider-partition-registry"


def build_wheel() -> Path:
    """Build our own package as users get it."""
    folder = FOLDER / "dist"
    for old in folder.glob("*.whl"):
        old.unlink()
    _uv("build", "--quiet", "--wheel", "--out-dir", folder, PROJECT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def prepare(row: Row, wheel: Path) -> Path:
    """Install what the row says, unless it is installed already; returns the environment's ``bin`` folder."""
    home = FOLDER / row.name
    python = home / "bin" / "python"
    note = home / "row"
    if not note.exists() or note.read_text() != repr(row):
        _uv("venv", "--quiet", "--clear", "--python", row.python, home)
    _install(python, row, wheel)
    note.write_text(repr(row))
    return python.parent


def installed(programs: Path, distribution: str) -> str | None:
    """The version of a distribution in an environment; None if it is not installed."""
    question = f"from importlib.metadata import version; print(version({distribution!r}))"
    answer = subprocess.run(
        [programs / "python", "-c", question], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else None


def _install(python: Path, row: Row, wheel: Path) -> None:
    of_its_time = ("--exclude-newer", str(row.as_of)) if row.as_of else ()
    lowest = ("--resolution", "lowest-direct") if row.lowest else ()
    new = () if row.as_of or row.lowest else ("--upgrade",)
    install = ("pip", "install", "--quiet", "--python", python, "--reinstall-package", OURS, *of_its_time)
    if row.airflow is not None:
        # uv takes the lowest versions only of what it is given by name.
        own = _own_dependencies() if row.lowest else ()
        _uv(*install, *lowest, *new, *own, *row.needed, wheel, f"apache-airflow=={row.airflow}")
        return
    _uv(*install, *lowest, *new, "--group", "core", "--group", "service")
    _uv(*install, "--group", "test")
    _uv(*install, "--no-deps", wheel)


def _own_dependencies() -> list[str]:
    dependencies: list[str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"][
        "dependencies"
    ]
    return dependencies


def _uv(*arguments: str | Path) -> None:
    # uv finds every Python except those of pyenv, whose shims on the path stand only for the selected one.
    pyenv = sorted(map(str, Path("~/.pyenv/versions").expanduser().glob("3.*/bin")))
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *pyenv])
    done = subprocess.run(
        [uv.find_uv_bin(), *arguments],
        cwd=PROJECT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise TestbedError(f"uv {' '.join(map(str, arguments))} failed\n{done.stdout}{done.stderr}")
