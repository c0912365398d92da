"""Which modules import what: the domain needs no other package, the stores need no Airflow."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import airflow_provider_partition_registry as package

BLOCK = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Block())
for module in {modules!r}:
    importlib.import_module(module)
"""


def modules_of(*parts: str, without: str = "\0") -> list[str]:
    found = [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    prefixes = tuple(f"{package.__name__}.{part}" for part in parts)
    return [name for name in found if name.startswith(prefixes) and without not in name]


def import_without(blocked: list[str], modules: list[str]) -> None:
    assert modules
    code = BLOCK.format(blocked=blocked, modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_domain_and_factory_import_no_database() -> None:
    modules = [
        *modules_of("domain"),
        f"{package.__name__}.store.contract",
        f"{package.__name__}.store.factory",
    ]
    import_without(["airflow", "sqlalchemy", "alembic", "psycopg2", "urllib3", "fastapi"], modules)


def test_stores_import_without_airflow_and_what_only_tests_need() -> None:
    pytest.importorskip("sqlalchemy")
    import_without(["airflow", "httpx"], modules_of("domain", "store", without="migrations"))


def test_these_tests_need_neither_airflow_nor_a_database() -> None:
    import_without(
        ["airflow", "sqlalchemy", "psycopg2"],
        [
            f"tests.unit.{name}"
            for name in ("test_intervals", "test_locking", "test_readiness", "test_errors")
        ],
    )
