"""What the user sees: one line per event, on the terminal and in the run's transcript."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import sys
import textwrap
import time
from pathlib import Path

COLOURS = {"Airflow 2": "36", "Airflow 3": "35", "registry": "33", "shop": "34", "warehouse": "34"}
BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
WIDTH = 110
WIDTH_OF_NAMES = 12
MARGIN = 26  # columns for time and name, before the text
SECONDS_BETWEEN_STATUS_LINES = 15.0  # where there is no terminal to rewrite one line on


class Console:
    """Prints lines, and keeps them in a transcript.

    :param transcript: the file that gets every line, without colours
    """

    def __init__(self, transcript: Path) -> None:
        self._transcript = transcript
        self._is_terminal = sys.stdout.isatty()
        self._has_colours = self._is_terminal and "NO_COLOR" not in os.environ
        self._has_status = False
        self._status_printed_at = time.monotonic()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print one line."""
        self._clear_status()
        print(self._styled(text, style), flush=True)
        with self._transcript.open("a") as transcript:
            transcript.write(f"{text}\n")

    def event(
        self, who: str, text: str, at: datetime.datetime | None = None, style: str | None = None
    ) -> None:
        """Print one line about what somebody did; ``at`` is now by default."""
        time_stamp = clock(at or datetime.datetime.now(datetime.UTC))
        self._clear_status()
        name = self._styled(who.ljust(WIDTH_OF_NAMES), _colour_of(who))
        print(f"{self._styled(time_stamp, DIM)}  {name}  {self._styled(text, style)}", flush=True)
        with self._transcript.open("a") as transcript:
            transcript.write(f"{time_stamp}  {who.ljust(WIDTH_OF_NAMES)}  {text}\n")

    def quote(self, text: str) -> None:
        """Print somebody else's text below the line that says whose it is; long lines are broken at spaces."""
        wrapper = textwrap.TextWrapper(WIDTH - MARGIN, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines():
            wrapper.subsequent_indent = f"{line[: len(line) - len(line.lstrip())]}  "
            for part in wrapper.wrap(line):
                self.line(f"{' ' * MARGIN}| {part}")

    def heading(self, title: str, text: str = "") -> None:
        self.line()
        self.line(title, BOLD)
        if text:
            self.line(text, DIM)

    def status(self, text: str) -> None:
        """Say what is going on, on a line that the next one replaces; without a terminal only rarely."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{self._styled(text[:width], DIM)}", end="", flush=True)
            self._has_status = True
        elif time.monotonic() - self._status_printed_at > SECONDS_BETWEEN_STATUS_LINES:
            self.line(text)
            self._status_printed_at = time.monotonic()

    def _clear_status(self) -> None:
        if self._has_status:
            print("\r\x1b[2K", end="")
            self._has_status = False

    def _styled(self, text: str, style: str | None) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if style and text and self._has_colours else text


def clock(at: datetime.datetime) -> str:
    """A time of day, in UTC, to a tenth of a second."""
    at = at.astimezone(datetime.UTC)
    return f"{at:%H:%M:%S}.{at.microsecond // 100_000}"


def short_path(path: Path) -> str:
    """The path relative to the current folder, if that is shorter."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _colour_of(who: str) -> str | None:
    return next((colour for name, colour in COLOURS.items() if who.startswith(name)), None)
