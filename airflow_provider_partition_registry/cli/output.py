"""What the command prints: sentences and aligned columns for people, JSON for programs."""

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
"""States where they fill a column, and how answers begin."""

_ZEROS = (("T00:00:00Z", ""), (":00Z", "Z"))
"""How instants may end, and what is left of it where all of them do."""


def show(value: Any, text: Callable[[], str], *, as_json: bool) -> None:
    """Print a value of the domain: as JSON if asked, else the text.

    :param text: makes the text; may hold several lines.
    """
    if as_json:
        click.echo(as_json_text(value, indent=2))
    else:
        shown = printable_lines(text())
        click.echo(_COLOURED.sub(_coloured, shown) if _wants_colours() else shown)


def tell(text: str) -> None:
    """Say something on standard error, in one or several lines."""
    echo_error(printable_lines(text))


def echo_error(text: str) -> None:
    """Write to standard error. If nobody can be told, that changes nothing: the exit code says it too."""
    try:
        click.echo(text, err=True)
    except OSError:
        # Python would try once more when it ends, and end with another exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def write_all(descriptor: int, data: bytes) -> bool:
    """Write, past all buffers; whether that succeeded."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:  # whoever shares it has chosen so
            select.select((), (descriptor,), ())
        except OSError:
            return False
    return True


def _wants_colours() -> bool:
    """On a terminal, unless https://no-color.org says otherwise."""
    return terminal_width() is not None and not os.environ.get("NO_COLOR")


def _coloured(found: re.Match[str]) -> str:
    return click.style(found[0], fg=COLOURS[found[0].lower()])


def as_json_text(value: Any, indent: int | None = None) -> str:
    """A value of the domain as JSON in which every character can be printed; others are escaped.

    :param indent: by how much to indent what is inside; without it the text is one line.
    """
    text = json.dumps(to_jsonable(value), ensure_ascii=False, indent=indent)
    return "\n".join(map(_with_escapes, text.split("\n")))


def _with_escapes(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def printable_lines(text: str) -> str:
    """Several lines, each of them :func:`printable`."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable(line: str) -> str:
    """One line that moves no terminal's cursor; reasons and owners are other people's text."""
    return visible(line.replace("\t", " "))


def terminal_width() -> int | None:
    """How wide the terminal is; None for a file or a pipe, which get everything whole."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if is_terminal else None


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str | None]], *, empty: str, width: int | None = None
) -> str:
    """Rows in aligned columns.

    :param empty: what to say when there are no rows.
    :param width: of the lines, to which the last column is shortened if need be.
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
    """Instants without the zeros that all of them end in; what is left is ISO 8601, and means the same to a call."""
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
