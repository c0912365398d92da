"""Draws docs/images/architecture.svg from the imports of the package, so that the picture is always true.

Boxes are packages, in the layers that ``pyproject.toml`` gives to import-linter. The text of a box is the first line of
its docstring. After the arrow stands what it imports, except what follows from other arrows.

``python -m tools.architecture`` draws it; with ``--check`` it fails if the picture is not the one that it would draw.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

import grimp

PACKAGE = "airflow_provider_partition_registry"
ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
PARTED = ("store", "store.sql", "server")
"""Packages whose sub-packages are shown in their boxes."""

WIDTH, MARGIN, GAP = 1100, 16, 12
LINE, BOX_TITLE, LAYER_GAP = 16, 24, 14
CHARACTER = 6.3  # width of a character in the smaller type

Edges = set[tuple[str, str]]
Line = tuple[str, str]
"""The kind of a line, and its text."""


class Box(NamedTuple):
    """A package, and where it is drawn."""

    name: str
    x: float
    y: float
    width: float
    height: float
    lines: list[Line]


def layers() -> list[list[str]]:
    """The layers from the top down, as import-linter checks them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (each["layers"] for each in contracts if each.get("containers") == [PACKAGE])
    return [[name.strip() for name in layer.split("|")] for layer in found]


def imports(graph: grimp.ImportGraph, names: Iterable[str]) -> Edges:
    """Which of the packages directly import which others."""
    by_name = {name: f"{PACKAGE}.{name}" for name in names}
    return {
        (importer, imported)
        for importer, its_path in by_name.items()
        for imported, path in by_name.items()
        if importer != imported
        and graph.direct_import_exists(importer=its_path, imported=path, as_packages=True)
    }


def reduced(edges: Edges) -> Edges:
    """The edges that do not follow from others."""
    return {
        (first, last)
        for first, last in edges
        if not any(
            _reaches(edges, middle, last) for start, middle in edges if start == first and middle != last
        )
    }


def _reaches(edges: Edges, first: str, last: str) -> bool:
    return first == last or any(_reaches(edges, middle, last) for start, middle in edges if start == first)


def role_of(name: str) -> str:
    """The first line of a package's or module's docstring."""
    spec = importlib.util.find_spec(f"{PACKAGE}.{name}")
    assert spec is not None
    assert spec.origin is not None
    said = ast.get_docstring(ast.parse(Path(spec.origin).read_text())) or ""
    return said.partition("\n")[0].replace("``", "")


def place(layer: list[str], texts: list[list[Line]], y: float) -> list[Box]:
    """The boxes of a layer, side by side, as wide as their texts need."""
    shares = [1 + max(len(line) for _, line in text) ** 0.5 for text in texts]
    room = WIDTH - 2 * MARGIN - GAP * (len(layer) - 1)
    widths = [room * share / sum(shares) for share in shares]
    wrapped = [list(_wrapped(text, width)) for text, width in zip(texts, widths, strict=True)]
    height = BOX_TITLE + LINE * max(map(len, wrapped)) + 10
    boxes, x = [], float(MARGIN)
    for name, width, lines in zip(layer, widths, wrapped, strict=True):
        boxes.append(Box(name, x, y, width, height, lines))
        x += width + GAP
    return boxes


def _text_of(name: str, rooms: list[str], edges: Edges) -> list[Line]:
    """The text of a box: its role, its sub-packages, and what it imports."""
    imported = sorted(last for first, last in edges if first == name)
    return [
        ("role", role_of(name)),
        *(("room", f"▪ {room.removeprefix(name + '.')}: {role_of(room)}") for room in rooms),
        *([("imports", f"↓ {', '.join(imported)}")] if imported else []),
    ]


def _wrapped(text: list[Line], width: float) -> Iterator[Line]:
    for kind, line in text:
        for each in textwrap.wrap(
            line, int((width - 20) / CHARACTER), subsequent_indent="  " * (kind == "room")
        ):
            yield kind, each


def rooms_of(graph: grimp.ImportGraph) -> dict[str, list[str]]:
    """The sub-packages of those packages that show them."""
    found: dict[str, list[str]] = {}
    for name in PARTED:
        children = sorted(
            each.removeprefix(f"{PACKAGE}.")
            for each in graph.find_children(f"{PACKAGE}.{name}")
            if graph.find_children(each)
        )
        found.setdefault(name.partition(".")[0], []).extend(children)
    return {name: sorted(rooms) for name, rooms in found.items()}


def draw() -> str:
    """The picture as SVG."""
    graph = grimp.build_graph(PACKAGE)
    rooms = rooms_of(graph)
    names = [name for layer in layers() for name in layer]
    edges = reduced(imports(graph, names))
    boxes: list[Box] = []
    y = float(MARGIN)
    for layer in layers():
        texts = [_text_of(name, rooms.get(name, []), edges) for name in layer]
        placed = place(layer, texts, y)
        boxes += placed
        y += placed[0].height + LAYER_GAP
    parts = [_HEAD.format(width=WIDTH, height=int(y)), *map(_drawn, boxes), "</svg>"]
    return "\n".join(parts) + "\n"


def _drawn(box: Box) -> str:
    text = "".join(
        f'<text class="{kind}" x="{box.x + 10:.0f}" y="{box.y + BOX_TITLE + LINE * number:.0f}" xml:space="preserve">'
        f"{escape(line)}</text>"
        for number, (kind, line) in enumerate(box.lines, 1)
    )
    return (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="6"/>'
        f'<text class="name" x="{box.x + 10:.0f}" y="{box.y + 20:.0f}">{box.name}</text>{text}'
    )


_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-label="The packages in their layers, and which imports which">
<style>
text {{ font: 11.5px sans-serif; fill: #24292f }} .name {{ font: bold 13px monospace }} .imports {{ fill: #0969da }}
rect {{ fill: #f6f8fa; stroke: #8c959f }}
</style>
<rect width="100%" height="100%" style="fill: #ffffff; stroke: none"/>"""


def main() -> None:
    """Draw the picture, or with ``--check`` fail if the existing one is out of date."""
    drawn = draw()
    if "--check" not in sys.argv:
        PICTURE.write_text(drawn)
    elif not PICTURE.is_file() or PICTURE.read_text() != drawn:
        sys.exit(f"{PICTURE.relative_to(ROOT)} is not what the imports say. Draw it anew: make picture")


if __name__ == "__main__":
    main()
