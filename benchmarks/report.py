"""Figures and their targets as a Markdown table, with the machine on which they were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    :param measured: in ``unit``.
    :param floor: the floor in the same unit; ``floor_name`` says what it is.
    :param at_most: the target: a multiple of the floor, or without a floor a number of units; None if there is none.
    """

    what: str
    measured: float
    repeats: int
    floor: float | None = None
    floor_name: str = ""
    at_most: float | None = None
    unit: str = "ms"

    @property
    def compared(self) -> float:
        """The value that the target limits."""
        return self.measured / self.floor if self.floor else self.measured

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.at_most is None else self.compared <= self.at_most


def table(figures: Iterable[Figure]) -> str:
    """All figures, one line each."""
    rows: list[tuple[str, ...]] = [
        ("what", "measured", "floor", "ratio", "target", "met", "repeats"),
        ("---", "--:", "--:", "--:", "--:", "---", "--:"),
        *[_row(figure) for figure in figures],
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, ...]:
    floor = f"{figure.floor_name} {_number(figure.floor)}" if figure.floor else figure.floor_name
    target = ""
    if figure.at_most is not None:
        target = f"<= {figure.at_most:g} x" if figure.floor else f"<= {figure.at_most:g} {figure.unit}"
    return (
        figure.what,
        f"{_number(figure.measured)} {figure.unit}",
        floor,
        f"{figure.compared:.2f}" if figure.floor else "",
        target.strip(),
        {None: "", True: "yes", False: "**MISSED**"}[figure.is_met],
        str(figure.repeats),
    )


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def machine(postgres_version: str) -> str:
    """The machine on which the figures were measured."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("SQLAlchemy", "psycopg2-binary", "apache-airflow")
    )
    return (
        f"{os.cpu_count()} cores ({_processor()}), {_memory()}, {platform.system()} {platform.machine()}; "
        f"PostgreSQL {postgres_version} over TCP; Python {platform.python_version()}, {packages}"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _memory() -> str:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{pages / 2**30:.0f} GiB"
