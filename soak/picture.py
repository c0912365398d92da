"""Draws a soak: ``python -m soak.picture FILE.json`` draws the figures in a file into one beside it, ``FILE.svg``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

WIDTH, LEFT, RIGHT = 1100, 62, 880  # of the picture, and of what is drawn over time; the rest is for names
TOP, HEIGHT, GAP = 96, 128, 52
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e", "#57606a")
Values = Sequence[float | None]


class Line(NamedTuple):
    """A line over time.

    :param tail: drawn thinner, in the same colour: what 99 % are below.
    """

    name: str
    values: Values
    tail: Values = ()


class Panel(NamedTuple):
    """Lines that share an axis.

    :param at: the seconds that the values belong to.
    """

    title: str
    at: Sequence[float]
    lines: Sequence[Line]
    is_logarithmic: bool = False


class Scale(NamedTuple):
    """Where values of a panel are drawn."""

    lowest: float
    highest: float
    bottom: float
    is_logarithmic: bool

    @classmethod
    def of(cls, panel: Panel, bottom: float) -> Scale:
        """The scale that has room for all lines of a panel."""
        values = [each for line in panel.lines for part in (line.values, line.tail) for each in part if each]
        most = max(values, default=1.0)
        if panel.is_logarithmic:
            return cls(1.0, 10 ** math.ceil(math.log10(max(most, 10.0))), bottom, True)
        step = _step(most)
        return cls(0.0, math.ceil(most / step) * step, bottom, False)

    def y(self, value: float) -> float:
        """Where a value is drawn; what is below the scale lies on its bottom."""
        if self.is_logarithmic:
            share = math.log10(max(value, self.lowest)) / math.log10(self.highest)
        else:
            share = value / self.highest
        return round(self.bottom - share * HEIGHT, 1)

    def ticks(self) -> Iterator[float]:
        """The values that the axis names."""
        if self.is_logarithmic:
            yield from (10.0**power for power in range(round(math.log10(self.highest)) + 1))
        else:
            step = _step(self.highest)
            yield from (step * number for number in range(round(self.highest / step) + 1))


def draw(figures: Mapping[str, Any]) -> str:
    """The picture as SVG, of figures as :mod:`soak.figures` gives them."""
    panels = panels_of(figures)
    seconds = figures["plan"]["minutes"] * 60
    height = TOP + len(panels) * (HEIGHT + GAP)
    parts = [_HEAD.format(width=WIDTH, height=height), _title(figures["plan"])]
    parts += _accidents(figures["accidents"], seconds, height - GAP)
    for number, panel in enumerate(panels):
        parts += _drawn(panel, seconds, TOP + number * (HEIGHT + GAP) + HEIGHT)
    return "\n".join([*parts, "</svg>"]) + "\n"


def panels_of(figures: Mapping[str, Any]) -> list[Panel]:
    """What is shown."""
    latencies, at = figures["latencies"], figures["at"]
    windows = [
        (number + 0.5) * figures["window"]
        for number in range(int(figures["plan"]["minutes"] * 60 / figures["window"]))
    ]

    def over_windows(title: str, names: Mapping[str, str]) -> Panel:
        lines = [
            Line(shown, latencies[name]["median"], latencies[name]["99 %"])
            for name, shown in names.items()
            if name in latencies
        ]
        return Panel(f"{title} (ms; median, and thin 99 %)", windows, lines, is_logarithmic=True)

    return [
        over_windows(
            "From an unlock to the event of a trigger that waits",
            {"wait, database": "asking PostgreSQL", "wait, service": "asking the service"},
        ),
        over_windows(
            "From an unlock to its arrival on an event stream",
            {"stream of one source": "of one source", "stream of all sources": "of all sources"},
        ),
        over_windows(
            "A lock and its unlock",
            {"lock + unlock, database": "in PostgreSQL", "lock + unlock, service": "through the service"},
        ),
        Panel("Memory (MB)", at, [Line(name, values) for name, values in figures["memory"].items()]),
        Panel("CPU (cores)", at, [Line(name, values) for name, values in figures["cpu"].items()]),
        Panel("Rows that wait for a vacuum", at, [Line("dead rows", figures["dead_rows"])]),
    ]


def _title(plan: Mapping[str, Any]) -> str:
    told = (
        f"{plan['minutes']:g} minutes: {plan['waits']:,} waiting triggers, {plan['streams']:,} event streams, "
        f"{plan['rate']:g} partitions a second in {plan['sources']:,} sources"
    )
    return f'<text class="title" x="{LEFT}" y="26">{told}</text>'


def _accidents(accidents: Sequence[tuple[str, float, float]], seconds: float, bottom: float) -> list[str]:
    parts = []
    for number, (name, began, ended) in enumerate(accidents):
        x, width = _x(began, seconds), max(2.0, _x(ended, seconds) - _x(began, seconds))
        y = 46 + 14 * (number % 2)
        parts.append(
            f'<rect class="accident" x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{bottom - y - 4:.0f}"/>'
            f'<text x="{x:.1f}" y="{y}">{escape(name)}</text>'
        )
    return parts


def _drawn(panel: Panel, seconds: float, bottom: float) -> list[str]:
    scale = Scale.of(panel, bottom)
    parts = [f'<text class="name" x="{LEFT}" y="{bottom - HEIGHT - 8:.0f}">{escape(panel.title)}</text>']
    for value in scale.ticks():
        y = scale.y(value)
        parts.append(
            f'<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4}">{value:,g}</text>'
        )
    step = _step(seconds / 60)
    for number in range(int(seconds / 60 / step) + 1):
        x = _x(number * step * 60, seconds)
        unit = " min" if number == 0 else ""
        parts.append(f'<text class="minute" x="{x:.0f}" y="{bottom + 16:.0f}">{number * step:g}{unit}</text>')
    for number, line in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        y = bottom - HEIGHT + 12 + 18 * number
        usual = median([each for each in line.values if each is not None] or [0.0])
        parts.append(
            f'<path class="median" stroke="{colour}" d="{_path(panel.at, line.values, scale, seconds)}"/>'
            f'<path class="tail" stroke="{colour}" d="{_path(panel.at, line.tail, scale, seconds)}"/>'
            f'<path class="median" stroke="{colour}" d="M{RIGHT + 14} {y - 4:.0f}h16"/>'
            f'<text x="{RIGHT + 36}" y="{y:.0f}">{escape(line.name)}: {_short(usual)}</text>'
        )
    return parts


def _path(at: Sequence[float], values: Values, scale: Scale, seconds: float) -> str:
    """The path of a line, which is interrupted where there is no value."""
    points, pen = [], "M"
    for second, value in zip(at, values, strict=False):
        if value is None:
            pen = "M"
            continue
        points.append(f"{pen}{_x(second, seconds):.1f} {scale.y(value)}")
        pen = "L"
    return "".join(points)


def _x(second: float, seconds: float) -> float:
    return LEFT + (RIGHT - LEFT) * second / seconds


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _step(most: float) -> float:
    """A round number that fits into another one two to five times."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(part * power for part in (0.2, 0.5, 1.0, 2.0) if most <= 5 * part * power)


_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-label="Latencies, memory and CPU over time">
<style>
text {{ font: 11.5px sans-serif; fill: #24292f }} .title {{ font: bold 14px sans-serif }} .name {{ font-weight: bold }}
.tick {{ text-anchor: end }} .minute {{ text-anchor: middle }} .grid {{ stroke: #d0d7de; stroke-width: 0.6 }}
.median, .tail {{ fill: none; stroke-width: 1.6 }} .tail {{ stroke-width: 0.7; opacity: 0.7 }}
.accident {{ fill: #cf222e; opacity: 0.18 }}
</style>
<rect width="100%" height="100%" fill="#ffffff"/>"""


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.with_suffix(".svg").write_text(draw(json.loads(file.read_text())))
