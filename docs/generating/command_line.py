"""Lets sphinx-click show examples, environment and exit codes as they stand in ``--help``."""

from __future__ import annotations

from typing import Any

import click
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("sphinx-click-process-epilog", _keep_lines)
    return {"parallel_read_safe": True}


def _keep_lines(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """What is laid out by hand becomes literal text; sphinx-click would set it in proportional type."""
    if not any(line.startswith("| ") for line in lines):
        return
    shown = [f"   {line.removeprefix('|').removeprefix(' ')}".rstrip() for line in lines]
    lines[:] = [".. code-block:: text", "", *shown, ""]
