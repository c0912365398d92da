"""The floor of a run that a watcher starts: a trigger that yields as soon as a file has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent


class BareWatcher(BaseEventTrigger):
    """Yields what is in the file, whenever that is something else."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path, and the arguments to make the trigger again."""
        return f"{__name__}.{type(self).__qualname__}", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the file a hundred times a second."""
        known = ""
        while True:
            found = Path(self.path).read_text()  # noqa: ASYNC240 - a few bytes in the page cache
            if found != known:
                known = found
                yield TriggerEvent(found)
            await asyncio.sleep(0.01)
