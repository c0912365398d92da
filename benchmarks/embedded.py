"""What readers and writers of a registry in SQLite pay: the same calls, and the same limits to growth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import data, reading, writing
from benchmarks.report import Figure

GROWTH = {"window of 1", "tail"}  # what figures about growth are compared with, besides sizes


def figures(sizes: tuple[int, int], repeats: int) -> Iterator[Figure]:
    """All figures about SQLite, with registries of both sizes."""
    small, usual = sizes
    with TemporaryDirectory() as folder:
        stores = {
            size: data.create(
                f"sqlite:///{Path(folder) / f'{size}.db'}", reading.QUIET, *reading.series_of(size)
            )
            for size in sizes
        }
        data.check(stores[small])
        for figure in reading.figures(stores, usual, repeats):
            yield _of_sqlite(figure, GROWTH | {f"{usual:,}"})
        store = data.create(f"sqlite:///{Path(folder) / 'write.db'}", writing.PLAIN, writing.BESIDE_A_YEAR)
        for figure in writing.figures(store, repeats):
            yield _of_sqlite(figure, GROWTH)


def _of_sqlite(figure: Figure, limited: set[str]) -> Figure:
    """The figure, with its target if it is one about growth."""
    at_most = figure.at_most if figure.floor_name in limited else None
    return replace(figure, what=f"SQLite: {figure.what}", at_most=at_most)
