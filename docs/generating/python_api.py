"""The public classes of modules, for autodoc.

A page that holds a line such as ``% classes domain: intervals, models`` gets a section for each of these modules, with
all public classes that are defined there.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PACKAGE = "airflow_provider_partition_registry"
PLACEHOLDER = re.compile(r"^% classes ([\w.]+): ([\w, ]+)$", flags=re.MULTILINE)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _fill_in)
    app.connect("doctree-read", _set_dashes)
    return {"parallel_read_safe": True}


def _fill_in(_app: Sphinx, _docname: str, source: list[str]) -> None:
    source[0] = PLACEHOLDER.sub(lambda found: "\n".join(_sections(*found.groups())), source[0])


def _set_dashes(_app: Sphinx, document: nodes.document) -> None:
    """Between a parameter and what it means; elsewhere two hyphens are what somebody has to type."""
    for fields in document.findall(nodes.field_list):
        for text in list(fields.findall(nodes.Text)):
            if text == " -- ":
                text.parent.replace(text, nodes.Text(" \N{EN DASH} "))


def _sections(package: str, names: str) -> Iterator[str]:
    for name in names.split(", "):
        module = import_module(f"{PACKAGE}.{package}.{name}")
        first_line = str(inspect.getdoc(module)).partition("\n")[0]
        yield f"### `{package}.{name}`\n\n{first_line.replace('``', '`')}\n"
        yield "```{eval-rst}"
        yield from (f".. autoclass:: {module.__name__}.{each.__name__}\n" for each in public_classes(module))
        yield "```\n"


def public_classes(module: ModuleType) -> Iterator[type]:
    """Those that are defined in the module itself, in their order."""
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield value
