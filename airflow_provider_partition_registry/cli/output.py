"""What the command prints: sentences and aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.jsonable import to_jsonable

NOTHING = "-"


def show(value: Any, text: Callable[[], str], *, as_json: bool) -> None:
    """Print a value of the domain: as JSON if asked, else the text.

    :param text: makes the text; may hold several lines.
    """
    if as_json:
        click.echo(json.dumps(to_jsonable(value), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(printable(line) for line in text().split("\n")))


def printable(line: str) -> str:
    """One line without what could move a terminal's cursor; reasons and owners are other people's text."""
    return "".join(each if each.isprintable() else " " for each in line)


def table(headings: Sequence[str], rows: Iterable[Sequence[str | None]], *, empty: str) -> str:
    """Rows in aligned columns.

    :param empty: what to say when there are no rows.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return empty
    widths = [max(len(cell) for cell in column) for column in zip(headings, *cells, strict=True)]
    return "\n".join(_line(row, widths) for row in (list(headings), *cells))


def to_the_second(instant: datetime | None) -> str | None:
    """An instant of bookkeeping, for which people need no fractions."""
    return None if instant is None else format_instant(instant.replace(microsecond=0))


def _cell(value: str | None) -> str:
    return printable(" ".join(value.split())) if value else NOTHING


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
