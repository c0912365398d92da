"""The command's output: sentences and aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from airflow_provider_partition_registry.domain.display import visible
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.jsonable import to_jsonable

NOTHING = "-"
GAP = "  "

COLOURS = {
    "ready": "green",
    "not ready": "yellow",
    "locked": "yellow",
    "expired": "magenta",
    "failed": "red",
}
_COLOURED = re.compile(
    r"(?<= {2})(?:ready|locked|expired|failed)(?= {2}|$)|^(?:Ready|Not ready)(?=:)", re.MULTILINE
)
"""States where they fill a column, and the words with which answers begin."""

_ZEROS = (("T00:00:00Z", ""), (":00Z", "Z"))
"""Possible ends of instants, and what remains of them if all instants end so."""


def show(value: Any, text: Callable[[], str], *, as_json: bool) -> None:
    """Print a value of the domain, as JSON or as text.

    :param text: makes the text, which may have several lines.
    """
    if as_json:
        click.echo(as_json_text(value, indent=2))
    else:
        shown = printable_lines(text())
        click.echo(_COLOURED.sub(_coloured, shown) if _wants_colours() else shown)


def tell(text: str) -> None:
    """Print a message of one or several lines to standard error."""
    echo_error(printable_lines(text))


def echo_error(text: str) -> None:
    """Write to standard error. If that fails nothing else changes, as the exit code says it too."""
    try:
        click.echo(text, err=True)
    except OSError:
        # Python would try again when it ends, and end with another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def write_all(descriptor: int, data: bytes) -> bool:
    """Write all data, without buffering, and return whether that succeeded."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # another process that shares the descriptor made it non-blocking
            select.select((), (descriptor,), ())
        except OSError:
            return False
    return True


def _wants_colours() -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return terminal_width() is not None and not os.environ.get("NO_COLOR")


def _coloured(found: re.Match[str]) -> str:
    return click.style(found[0], fg=COLOURS[found[0].lower()])


def as_json_text(value: Any, indent: int | None = None) -> str:
    """A value of the domain as JSON in which characters that cannot be printed are escaped.

    :param indent: by how much to indent nested values; without it the JSON is one line.
    """
    text = json.dumps(to_jsonable(value), ensure_ascii=False, indent=indent)
    return "\n".join(map(_with_escapes, text.split("\n")))


def _with_escapes(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def printable_lines(text: str) -> str:
    """Several lines, each of them made :func:`printable`."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable(line: str) -> str:
    """One line without characters that control a terminal; reasons and owners are untrusted text."""
    return visible(line.replace("\t", " "))


def terminal_width() -> int | None:
    """The width of the terminal; None for a file or a pipe, where nothing is shortened."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str | None]], *, empty: str, width: int | None = None
) -> str:
    """Rows in aligned columns.

    :param empty: printed if there are no rows.
    :param width: of the lines; the last column is shortened to fit.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        return empty
    widths = [max(len(cell) for cell in column) for column in zip(headings, *cells, strict=True)]
    if width is not None:
        room = width - sum(each + len(GAP) for each in widths[:-1])
        cells = [[*row[:-1], _shortened(row[-1], max(room, len(headings[-1])))] for row in cells]
    return "\n".join(_line(row, widths) for row in (list(headings), *cells))


def without_zeros(instants: Iterable[datetime]) -> list[str]:
    """Instants without trailing zeros that they all share. What is left is ISO 8601, and can be passed to a command."""
    texts = [format_instant(each) for each in instants]
    for zeros, rest in _ZEROS:
        if all(text.endswith(zeros) for text in texts):
            return [text.removesuffix(zeros) + rest for text in texts]
    return texts


def _shortened(cell: str, length: int) -> str:
    return cell if len(cell) <= length else f"{cell[: length - 1]}…"


def _cell(value: str | None) -> str:
    return printable(" ".join(value.split())) if value else NOTHING


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
