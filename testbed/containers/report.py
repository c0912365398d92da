"""What was checked, line by line, and the verdict."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from testbed.processes import TestbedError


class Report:
    """Prints each check as it is made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._checks = 0
        self._broken = 0

    def run(self, title: str, check: Callable[[Report], None]) -> None:
        """Run the checks of one chapter; an error that ends it early counts as a failed check."""
        print(f"\n{title}", flush=True)
        try:
            check(self)
        except Exception as error:
            if not isinstance(error, TestbedError):
                traceback.print_exc()
            self.check("the chapter comes to its end", holds=False, evidence=str(error))

    def check(self, claim: str, holds: bool, evidence: object = "") -> None:
        """Print one check."""
        self._checks += 1
        self._broken += not holds
        seconds = time.monotonic() - self._started
        told = f": {evidence}" if evidence != "" else ""
        print(f"{seconds:6.0f} s  {'ok    ' if holds else 'BROKEN'}  {claim}{told}", flush=True)

    def conclude(self) -> int:
        """Print the verdict, and return the exit code."""
        if self._broken:
            print(f"\nVERDICT: BROKEN, {self._broken} of {self._checks} checks failed.", flush=True)
            return 1
        print(f"\nVERDICT: THE CONTAINERS RUN ({self._checks} checks).", flush=True)
        return 0
