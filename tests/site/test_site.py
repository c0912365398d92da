"""The documentation as a site: it builds without warnings, everything generated is there, and it needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sphinx.util.inventory import InventoryFile

from airflow_provider_partition_registry.cli.root import root
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.server.app import create_app
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.contract.reading import RegistryReader
from airflow_provider_partition_registry.store.contract.viewing import RegistryViewer
from airflow_provider_partition_registry.store.contract.writing import RegistryStore
from tests.documents import DOCS


@pytest.mark.timeout(900)
def test_the_site(tmp_path: Path) -> None:
    """Build the site as ``make docs`` does. Links between pages are checked, and each warning is an error."""
    options = ("--fail-on-warning", "--keep-going", "--fresh-env", "--quiet")
    done = subprocess.run(
        [Path(sys.executable).with_name("sphinx-build"), *options, DOCS, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_nothing_is_fetched(tmp_path)
    assert_commands(tmp_path / "reference" / "cli.html")
    assert_routes(tmp_path / "reference" / "http-api.html")
    assert_python_api(tmp_path / "objects.inv")


def commands(command: click.Command, path: str = "partition-registry") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")


def assert_nothing_is_fetched(site: Path) -> None:
    for page in site.rglob("*.html"):
        fetched = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"([^\"]+)\"", page.read_text())
        assert fetched, page
        assert not [each for each in fetched if re.match(r"(https?:)?//", each)], page
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?https?:", style.read_text()), style


def assert_commands(file: Path) -> None:
    """Check that every command is there with all its options."""
    page = file.read_text()
    for path, command in commands(root):
        anchor = path.replace(" ", "-")
        assert f'id="{anchor}"' in page, path
        for option in command.params:
            if isinstance(option, click.Option):
                assert f'id="cmdoption-{anchor}-{option.opts[0].lstrip("-")}"' in page, (path, option.opts)


def assert_routes(file: Path) -> None:
    """Check that all routes are there, and no others."""
    shown = re.findall(r"<h3><code[^>]*>(.*?)</code>", file.read_text())
    told = [
        f"{method.upper()} {path}"
        for path, methods in create_app(ServiceSettings("sqlite:////nowhere")).openapi()["paths"].items()
        for method in methods
    ]
    assert [re.sub(r"<[^>]+>", "", each) for each in shown] == told


def assert_python_api(file: Path) -> None:
    """Check that the contract is there with all its calls, and the values."""
    inventory = InventoryFile.loads(file.read_bytes(), uri="")
    names = {
        name.rpartition("airflow_provider_partition_registry.")[2] for name in inventory.data["py:method"]
    }
    for contract in (RegistryViewer, RegistryReader, RegistryStore):
        for method in vars(contract):
            if not method.startswith("_"):
                path = f"{contract.__module__}.{contract.__name__}.{method}"
                assert path.partition(".")[2] in names
    classes = inventory.data["py:class"]
    for value in (PartitionKey, Readiness):
        assert f"{value.__module__}.{value.__name__}" in classes
