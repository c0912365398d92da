"""What users install: the wheel, built from the sdist, in an environment without this folder."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
import uv

from airflow_provider_partition_registry import __version__

PROJECT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_partition_registry"


def run(*command: str | Path, cwd: Path = PROJECT) -> str:
    """Run a command and return its output; show all of it if the command fails."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(uv.find_uv_bin(), "build", "--quiet", "--out-dir", folder)
    (found,) = folder.glob("*.whl")
    assert [each.name for each in folder.glob("*.tar.gz")] == [f"{PACKAGE}-{__version__}.tar.gz"]
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment with the wheel and its dependencies, without Airflow."""
    home = tmp_path_factory.mktemp("environment")
    needed = home / "needed.txt"
    needed.write_text(run(uv.find_uv_bin(), "export", "--quiet", "--frozen", "--only-group", "core"))
    run(uv.find_uv_bin(), "venv", "--quiet", home / "venv")
    python = home / "venv" / "bin" / "python"
    run(uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, "-r", needed)
    run(uv.find_uv_bin(), "pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return python.parent


def test_the_wheel_holds_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= names
    assert {name.split("/")[0] for name in names - ours} == {f"{PACKAGE}-{__version__}.dist-info"}
    assert f"{PACKAGE}/py.typed" in names


def test_its_long_description_has_no_relative_link(wheel: Path) -> None:
    """A package index has no files beside the README. All links use the project's one address."""
    address = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{PACKAGE}-{__version__}.dist-info/METADATA").decode()
    links = re.findall(r"\]\(([^)]*)\)", metadata)
    assert len(links) > 10
    assert all(link.startswith(f"{address}/") for link in links)
    beside_it = {re.sub("^(blob|raw)/main/", "", link.removeprefix(f"{address}/")) for link in links}
    assert all((PROJECT / path.partition("#")[0]).exists() for path in beside_it), (
        "and leads to what is there"
    )


def test_airflow_finds_the_provider_by_its_entry_point(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{PACKAGE}-{__version__}.dist-info/entry_points.txt").decode()
    assert (
        f"[apache_airflow_provider]\nprovider_info = {PACKAGE}.get_provider_info:get_provider_info"
        in entry_points
    )


def test_the_installed_command_keeps_a_registry(environment: Path, tmp_path: Path) -> None:
    command = environment / "partition-registry"
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    assert "partition-registry" in run(command, "--help", cwd=tmp_path)
    run(command, "--url", url, "source", "register", "shop.sales", "--owner", "sales team", cwd=tmp_path)
    assert "shop.sales" in run(command, "--url", url, "source", "list", cwd=tmp_path)
