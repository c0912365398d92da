"""The public names of the package: what can be imported from its top level, and what that costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import airflow_provider_partition_registry as package

STUB = Path(package.__file__).with_suffix(".pyi")


def test_type_checkers_see_what_is_there() -> None:
    stub = ast.parse(STUB.read_text())
    seen = {alias.asname for each in stub.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert seen == set(package.__all__) - {"__version__"}


@pytest.mark.parametrize("name", package.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    value = getattr(package, name)
    assert value is getattr(package, name)
    if isinstance(value, type):
        assert value.__name__ == name
    assert name in dir(package)


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Database'"):
        package.Database  # noqa: B018


def test_every_error_of_the_tree_is_public() -> None:
    from airflow_provider_partition_registry.domain import errors

    assert set(errors.__all__) <= set(package.__all__)


def test_importing_the_package_imports_nothing_of_it() -> None:
    name = package.__name__
    code = f"import sys, {name}; print([each for each in sys.modules if each.startswith('{name}.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
