"""The reference is complete: everything in the code is on its page, and everything on a page is in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client.metrics import MetricWrapperBase

import airflow_provider_partition_registry
from airflow_provider_partition_registry.cli.errors import ExitCode, exit_code_of
from airflow_provider_partition_registry.cli.root import root
from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.models import EventType, LockCounts
from airflow_provider_partition_registry.get_provider_info import CONN_FIELDS
from airflow_provider_partition_registry.server.observing import metrics
from airflow_provider_partition_registry.store.wire.statuses import status_of

PROJECT = Path(__file__).parents[2]
PACKAGE = Path(airflow_provider_partition_registry.__file__).parent
REFERENCE = PROJECT / "docs" / "reference"
AIRFLOW_LAYER = (
    "assets",
    "decorators",
    "hooks/partition_registry.py",
    "notifications",
    "operators",
    "sensors",
    "task_groups",
    "triggers",
)
AMONG_ITSELF = {
    *("PartitionOperator", "missing_connection", "settings_of"),
    *("sanitize_uri", "convert_asset_to_openlineage"),
}
"""Names that modules of the Airflow layer import from one another, or Airflow by itself, but no user needs."""
FROM_ELSEWHERE = {
    *("PartitionWrite", "LeaseTooShortWarning", "RegistryConnectionNotFoundError"),
    *(
        "LockLostError",
        "LockNotTakenError",
        "UpstreamFailedError",
        "WaitFailedError",
        "WriteInterruptedError",
    ),
}
"""Names that users get from the layer, although they are defined below it."""

Rows = list[list[str]]
Kinds = tuple[type[ast.ClassDef | ast.FunctionDef], ...]


def tables(page: str) -> Iterator[Rows]:
    """The tables on a page, without their header rows."""
    for table in re.findall(r"(?:^\|.*\n)+", (REFERENCE / page).read_text(), flags=re.MULTILINE):
        lines = table.strip().splitlines()[2:]
        yield [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cells: str) -> list[str]:
    """The names that are written as code."""
    return re.findall(r"`([^`]+)`", cells)


def first_names(*found: Rows) -> list[str]:
    return [name for rows in found for row in rows for name in names_in(row[0])]


def subclasses(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def sources(word: str) -> Iterator[ast.Module]:
    """The package's modules that contain the word."""
    for file in PACKAGE.rglob("*.py"):
        if word in (text := file.read_text()):
            yield ast.parse(text)


def test_every_error_of_the_code_is_there() -> None:
    written = {
        (statement.value.value, node.name)
        for module in sources(' code = "')
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and [getattr(target, "id", None) for target in statement.targets] == ["code"]
        and isinstance(statement.value, ast.Constant)
    }
    shown = [tuple(names_in(row[0]) + names_in(row[1])) for rows in tables("errors.md") for row in rows]
    assert sorted(shown) == sorted(written)


def test_errors_become_these_statuses_and_exit_codes() -> None:
    kinds = {each.__name__: each for each in subclasses(RegistryError)}
    everywhere, *_ = tables("errors.md")
    assert len(everywhere) > 30
    for _, name, _, status, exit_code in everywhere:
        kind = kinds[name.strip("`")]
        error = kind.__new__(kind)
        assert (status_of(error), exit_code_of(error)) == (int(status), int(exit_code)), name


def test_exit_codes() -> None:
    (rows,) = tables("cli.md")
    assert [int(code) for code, _ in rows] == [each.value for each in ExitCode]


def test_event_types() -> None:
    (rows,) = tables("events.md")
    assert first_names(rows) == [each.value for each in EventType]


def test_metrics() -> None:
    (rows,) = tables("metrics.md")
    own: list[MetricWrapperBase] = [
        each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)
    ]
    families = [family for each in own for family in each.collect()]
    families += metrics._Locks(LockCounts(0, 0)).collect()
    told = {(f"{each.name}_total" if each.type == "counter" else each.name, each.type) for each in families}
    assert {(names_in(name)[0], kind) for name, kind, *_ in rows if "process_" not in name} == told
    labels = {family.name: set(each._labelnames) for each in own for family in each.collect()}
    for name, _, shown, _ in rows:
        if (family := names_in(name)[0].removesuffix("_total")) in labels:
            assert set(names_in(shown)) == labels[family], name


def test_environment_variables() -> None:
    written = {
        name
        for file in (*PACKAGE.rglob("*.py"), PROJECT / "docker" / "entrypoint.sh")
        for name in re.findall(r"\bPARTITION_REGISTRY_[A-Z]+(?:_[A-Z]+)*\b", file.read_text())
    }
    shown = set(re.findall(r"\bPARTITION_REGISTRY_[A-Z_]+\b", (REFERENCE / "settings.md").read_text()))
    assert shown - {"PARTITION_REGISTRY_DEFAULT"} == written


def test_fields_of_the_connection() -> None:
    _, extras, *_ = tables("settings.md")
    assert first_names(extras) == [*CONN_FIELDS]


def test_options_of_the_service() -> None:
    *_, service = tables("settings.md")
    command = root.commands["serve"]
    with_variables = [each for each in command.params if isinstance(each, click.Option) and each.envvar]
    assert sorted((names_in(row[0])[0], names_in(row[1])[0], row[3].strip("`")) for row in service) == sorted(
        (
            each.envvar if isinstance(each.envvar, str) else each.envvar[0],
            each.opts[0],
            default_of(each),
        )
        for each in with_variables
    )


def default_of(option: click.Option) -> str:
    if option.name == "database_url":
        return "PARTITION_REGISTRY_URL"
    if option.is_flag:
        return "off"
    return str(option.default) if option.show_default else ""


def test_what_users_import_in_dags() -> None:
    page = (REFERENCE / "airflow.md").read_text()
    shown = {
        path.rpartition(".")[2] for path in re.findall(r"^\.\. auto\w+:: (\S+)", page, flags=re.MULTILINE)
    }
    assert shown - FROM_ELSEWHERE == set(defined_in(*AIRFLOW_LAYER)) - AMONG_ITSELF


def defined_in(*places: str, kinds: Kinds = (ast.ClassDef, ast.FunctionDef)) -> Iterator[str]:
    """Public classes and functions."""
    for place in places:
        path = PACKAGE / place
        for file in [path] if path.is_file() else path.glob("*.py"):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, kinds) and not node.name.startswith("_"):
                    yield node.name


def test_public_names() -> None:
    """Each is on one of the two pages, or is a class of a module from which a page is generated."""
    text = "".join((REFERENCE / f"{page}.md").read_text() for page in ("airflow", "python"))
    generated = set(defined_in(*(f"domain/{name}.py" for name in modules_on(text))))
    public = set(dir(airflow_provider_partition_registry)) - {"__version__"}
    assert public <= generated | set(re.findall(r"\w+", text))


def test_the_contract() -> None:
    page = (REFERENCE / "python.md").read_text()
    shown = {
        path.rpartition(".")[2] for path in re.findall(r"^\.\. auto\w+:: (\S+)", page, flags=re.MULTILINE)
    }
    assert shown - {"open_store", "interval_at", "explain"} == set(defined_in("store/contract"))


def modules_on(page: str) -> set[str]:
    """The domain's modules whose classes a page shows."""
    lists = re.findall(r"^% classes domain: (.*)$", page, flags=re.MULTILINE)
    return {name for each in lists for name in each.split(", ")}


def test_values_and_errors() -> None:
    """Its sections are generated from modules; no module with classes is left out."""
    shown = modules_on((REFERENCE / "python.md").read_text())
    with_classes = {
        file.stem
        for file in (PACKAGE / "domain").glob("*.py")
        if list(defined_in(f"domain/{file.name}", kinds=(ast.ClassDef,)))
    }
    assert shown == with_classes - {
        "awaiting",
        "conditions",
        "grain_cursor",
        "grain_events",
        "locking",
        "noting",
        "overlapping",
        "spans",
        "tokens",
        "waiting",
    }, "these are the registry's own business"


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.stem)
def test_the_overview_leads_to_each_page(page: Path) -> None:
    assert page.stem == "index" or page.stem in (REFERENCE / "index.md").read_text().splitlines()
