"""The shop: it delivers a day's orders line by line into a file that the writer reads while it grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

ORDERS = 20
END = "END"
BROKEN_LINE = "11,n/a"
TIMEOUT = 120.0  # seconds after which the last line is written in any case


def orders_of_day(day: int) -> list[str]:
    """The orders of a day, as lines: order number and price in cents."""
    return [f"{order},{1000 * day + 37 * order}" for order in range(1, ORDERS + 1)]


def total_of(orders: Sequence[str]) -> int:
    """The total of the orders, in cents."""
    return sum(int(line.split(",")[1]) for line in orders)


def good_lines(orders: Sequence[str]) -> list[str]:
    """A complete delivery, with the line that ends it."""
    return [*orders, END]


def broken_lines(orders: Sequence[str]) -> list[str]:
    """A delivery that breaks off after half of the orders, with a price that is not a number."""
    return [*orders[: ORDERS // 2], BROKEN_LINE]


class Delivery(threading.Thread):
    """Writes the lines one by one.

    The last line is written when the time is over *and* ``may_end`` is set: on a slow machine a reader would
    otherwise ask for the first time when everything is over, and there would be nothing to see.

    :param seconds: how long it takes at least
    """

    def __init__(self, file: Path, lines: Sequence[str], seconds: float) -> None:
        super().__init__(daemon=True)
        self.may_end = threading.Event()
        self.has_begun = threading.Event()
        self._file = file
        self._lines = lines
        self._pause = seconds / len(lines)
        file.write_text("")

    def run(self) -> None:
        *first, last = self._lines
        with self._file.open("a", buffering=1) as file:
            for line in first:
                time.sleep(self._pause)
                file.write(f"{line}\n")
                self.has_begun.set()
            self.may_end.wait(TIMEOUT)
            time.sleep(self._pause)
            file.write(f"{last}\n")
