"""The DAGs in the README can be copied, and the connections that documents show lead where they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_partition_registry.cli.commands.serve import NOT_INSTALLED
from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
from tests.documents import DOCS, PROJECT, blocks

README = PROJECT / "README.md"


def test_its_dags_parse_without_warnings(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    for number, block in enumerate(blocks(README, "python")):
        (tmp_path / f"readme_{number}.py").write_text(block)

    dag_bag = load_dags(tmp_path)

    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert sorted(dag_bag.dags) == ["example_consumer", "example_producer"]
    assert [task.task_id for task in dag_bag.dags["example_producer"].topological_sort()] == [
        *(f"partition_lock.{name}" for name in ("lock", "load", "unlock")),
    ]


def test_its_connection_leads_to_its_registry() -> None:
    shown = "".join(blocks(README, "bash"))
    variables = dict(re.findall(r"^export (\w+)=('.*?'|\S+)$", shown, flags=re.MULTILINE | re.DOTALL))
    connection = Connection.from_json(variables["AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT"].strip("'"))
    settings = ConnectionSettings.of_connection(connection)
    assert settings.url == variables["PARTITION_REGISTRY_URL"].replace(":5432", "")
    assert settings.instance == "sales-airflow"


@pytest.mark.parametrize(
    "block", blocks(DOCS / "reference" / "settings.md", "ini"), ids=["database", "service"]
)
def test_a_connection_is_the_same_as_uri_and_as_json(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for line in block.splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value.strip("'"))
        found.append(PartitionRegistryHook().settings)
    as_uri, as_json = found
    assert as_uri == as_json
    assert as_json.instance == "emea"


def test_the_tutorial_says_how_the_web_service_is_installed() -> None:
    assert NOT_INSTALLED.rpartition(": ")[2] in (DOCS / "tutorial.md").read_text()
