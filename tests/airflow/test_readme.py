"""The DAGs in the README are whole: they can be copied and parse as they stand."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import Connection

from airflow_provider_partition_registry.cli.commands.serve import NOT_INSTALLED
from airflow_provider_partition_registry.runtime.settings import RegistrySettings

README = Path(__file__).parents[2] / "README.md"


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_its_dags_parse_without_warnings(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    whole = [block for block in python_blocks() if "with DAG(" in block]
    for number, block in enumerate(whole):
        (tmp_path / f"readme_{number}.py").write_text(block)

    dag_bag = load_dags(tmp_path)

    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert sorted(dag_bag.dags) == ["example_consumer", "example_producer"]
    assert [task.task_id for task in dag_bag.dags["example_producer"].topological_sort()] == [
        *(f"partition_lock.{name}" for name in ("lock", "load", "unlock")),
    ]


WORK = """
from airflow.providers.common.compat.sdk import DAG, task
from airflow_provider_partition_registry.task_groups.partition_registry import partition_lock

@task
def parts():
    return [1, 2]

@task
def load(part):
    print(part)

@task
def extract(): ...

@task
def index(): ...

@task
def report(): ...

with DAG("whole_group", schedule=None, params={"day": "2026-11-01"}):
"""


def test_its_group_waits_for_all_that_is_in_it(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    (group,) = [block for block in python_blocks() if "as sales" in block]
    (tmp_path / "group.py").write_text(WORK + textwrap.indent(group, "    "))

    dag_bag = load_dags(tmp_path)

    assert dag_bag.import_errors == {}
    dag = dag_bag.dags["whole_group"]
    assert dag.get_task("partition_lock.unlock").is_teardown
    assert dag.get_task("report").upstream_task_ids == {"partition_lock.unlock"}


def test_its_writing_task_parses(tmp_path: Path, load_dags: Callable[[Path], Any]) -> None:
    (imports,) = re.findall(r"^\(`(from .*?)`\.\)", README.read_text(), flags=re.MULTILINE)
    (function,) = [block for block in python_blocks() if "@writes_partition" in block]
    (tmp_path / "writing.py").write_text(
        f"from airflow.providers.common.compat.sdk import DAG, task\n{imports}\n"
        f"with DAG('writing', schedule=None):\n{textwrap.indent(function, '    ')}\n    load()\n"
    )

    dag_bag = load_dags(tmp_path)

    assert dag_bag.import_errors == {}
    assert dag_bag.dags["writing"].task_ids == ["load"]


def test_its_connection_leads_to_its_registry() -> None:
    shown = "".join(re.findall(r"```bash\n(export .*?)```", README.read_text(), flags=re.DOTALL))
    variables = dict(re.findall(r"^export (\w+)=('.*?'|\S+)$", shown, flags=re.MULTILINE | re.DOTALL))
    connection = Connection.from_json(variables["AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT"].strip("'"))
    settings = RegistrySettings.of_connection(connection)
    assert settings.url == variables["PARTITION_REGISTRY_URL"].replace(":5432", "")
    assert settings.instance == "sales-airflow"


def test_it_says_how_the_web_service_is_installed() -> None:
    assert NOT_INSTALLED.rpartition(": ")[2] in README.read_text()
